// Runbooks by keyboard: 1 to 9 open a step with what it would do, unless somebody types.

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !/^[1-9]$/.test(event.key)) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  const step = document.querySelector(`.runbook [data-step="${event.key}"]`);
  if (!step) return;
  event.preventDefault();
  step.click();
});
