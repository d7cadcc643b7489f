import vm from 'node:vm'; import { stripTypeScriptTypes } from 'node:module';
let raw=''; for await (const c of process.stdin) raw+=c;
const out=[]; for (const {language, text} of JSON.parse(raw)) { try { const js = language==='typescript'? stripTypeScriptTypes(text):text; new vm.SourceTextModule(js); out.push(null);} catch(e){
 let m=String(e.message).split('\n')[0]; try { if (language!=='typescript') { vm.compileFunction(text); out.push(null); continue; } } catch {} out.push(m);} }
console.log(JSON.stringify(out));
