// What is wrong with the page as it stands, as lines for people; run in the page by test_every_page.py.
() => {
  // Every visible text against what lies behind it: those below WCAG 2.2's 4.5:1 (3:1 for large text).
  const channel = (v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] > 0) layers.push(colour);
      if (colour[3] === 1) break;
    }
    let result = rgba(getComputedStyle(document.body).backgroundColor);
    for (const layer of layers.reverse()) result = over(layer, result);
    return result;
  };
  const faults = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    if (element.closest("script, style, noscript, .visually-hidden, .skip, svg, [disabled]")) continue;
    const style = getComputedStyle(element), size = parseFloat(style.fontSize);
    const under = behind(element), ink = over(rgba(style.color), under);
    const [light, dark] = [luminance(ink), luminance(under)].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) faults.push(`contrast ${ratio.toFixed(2)} "${text.slice(0, 40)}" ${element.tagName}.${element.className}`);
  }
  const shown = (selector) => [...document.querySelectorAll(selector)].filter((e) => e.checkVisibility());
  const name = (e) => [e.getAttribute("aria-label"), e.title, e.alt, e.innerText, ...[...(e.labels || [])].map((l) => l.innerText)];
  for (const e of shown("input:not([type=hidden]), select, textarea, button, a[href], summary, video, img")) {
    if (!name(e).join("").trim()) faults.push(`no name: ${e.outerHTML.slice(0, 120)}`);
  }
  for (const e of shown("button, summary, select, a.button, a.icon-button, a.badge, nav a")) {
    const { width, height } = e.getBoundingClientRect();
    if (Math.min(width, height) < 23.5) faults.push(`${width}×${height} px: ${e.outerHTML.slice(0, 120)}`);
  }
  // Moments are in the reader's zone with UTC on hover; figures line up.
  for (const e of document.querySelectorAll("time")) {
    if (!/ UTC$/.test(e.title)) faults.push(`no UTC on hover: ${e.outerHTML.slice(0, 120)}`);
    if (e.checkVisibility() && / UTC$/.test(e.textContent)) faults.push(`not in the reader's zone: ${e.outerHTML.slice(0, 120)}`);
  }
  for (const [said] of document.querySelector("main")?.innerText.matchAll(/\d{1,2}:\d{2}(:\d{2})? UTC/g) ?? []) if (said !== "00:00 UTC") faults.push(`a moment that is only in UTC: ${said}`);
  for (const e of shown("td, dd")) {
    if (/\d/.test(e.innerText) && !getComputedStyle(e).fontVariantNumeric.includes("tabular-nums")) faults.push(`figures of different widths: ${e.outerHTML.slice(0, 120)}`);
  }
  if (document.documentElement.scrollWidth > innerWidth) faults.push(`wider than ${innerWidth} px`);
  if (document.querySelectorAll("h1").length !== 1) faults.push("not exactly one title");
  return faults;
}
