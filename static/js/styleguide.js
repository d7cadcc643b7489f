// The styleguide's own buttons.

import { toast } from "./frame.js";

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-toast]");
  if (button) toast(button.dataset.toast);
});
