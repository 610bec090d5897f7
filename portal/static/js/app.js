// What every page does. Everything works without it; this only makes it smoother.

const dialog = document.getElementById("dialog");

/** Focus the error summary, or the first thing to fill in. */
export function focusIn(root) {
  const target = root.querySelector("[data-focus]") ?? (root === dialog && root.querySelector("[autofocus], h2"));
  if (!target) return;
  if (target.tagName === "H2") target.tabIndex = -1;
  target.focus();
}

/** Fetch `url` into the page's dialog and show it; on failure go to the page itself. */
export async function openDialog(url) {
  await window.htmx.ajax("GET", url, { target: dialog, swap: "innerHTML" });
  if (!dialog.childElementCount) window.location.assign(url);
}

document.addEventListener("htmx:afterSwap", (event) => {
  const target = event.detail.target;
  if (target === dialog && dialog.childElementCount && !dialog.open) dialog.showModal();
  focusIn(target);
});

// The dialog's content came from one place and time: never show it twice.
dialog?.addEventListener("close", () => dialog.replaceChildren());

document.addEventListener("click", (event) => {
  for (const drop of document.querySelectorAll("details[data-drop][open]")) {
    if (!drop.contains(event.target)) drop.open = false;
  }
  if (event.target === dialog || event.target.closest?.("[data-close]")) {
    event.preventDefault();
    dialog.close();
    return;
  }
  const link = event.target.closest?.("a[data-dialog]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  openDialog(link.href);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const drop = event.target.closest?.("details[data-drop][open]");
  if (!drop) return;
  drop.open = false;
  drop.querySelector("summary").focus();
});

// One press, one request. The server refuses the second one anyway; this spares people the refusal.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method === "dialog" || event.defaultPrevented) return;
  if (form.dataset.sent) event.preventDefault();
  else form.dataset.sent = "1";
});
const reopen = () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
};
window.addEventListener("pageshow", reopen);
document.addEventListener("htmx:afterRequest", reopen);

// Filters that choose from a list apply at once where the form says so.
document.addEventListener("change", (event) => {
  const form = event.target.form;
  if (form?.matches("[data-auto]") && event.target.matches("select, [type=checkbox], [type=radio]")) form.requestSubmit();
});

// What may be undone for a few seconds says how many are left, and goes when none is; what is waited for looks anew.
const clockOf = (seconds) => {
  const part = (unit, over) => String(Math.floor(seconds / unit) % over).padStart(2, "0");
  return `${seconds < 3600 ? "" : `${Math.floor(seconds / 3600)}:`}${part(60, 60)}:${part(1, 60)}`;
};
for (const offer of document.querySelectorAll("[data-countdown]")) {
  const end = Date.now() + Number(offer.dataset.countdown) * 1000;
  const tick = () => {
    const left = Math.ceil((end - Date.now()) / 1000);
    offer.querySelector("[data-left]").textContent = "clock" in offer.dataset ? clockOf(Math.max(left, 0)) : left;
    if (left > 0) setTimeout(tick, 250);
    else if ("clock" in offer.dataset) location.reload();
    else if (!offer.closest("form").dataset.sent) offer.remove();
  };
  tick();
}

focusIn(document);
