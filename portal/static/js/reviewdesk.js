// Keys of the review desk. Everything has its button or link too; keys only save the way to it.

const typing = (target) => target.closest?.("input, textarea, select, [contenteditable]");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const target = document.querySelector(`[data-key~="${CSS.escape(event.key)}"]`);
  if (!target) return;
  event.preventDefault();
  if (target.tagName === "DETAILS") target.open = !target.open;
  else if (target.tagName === "A") target.click();
  else {
    // Deciding takes a second key: the first only brings the button under the finger.
    target.scrollIntoView({ block: "center" });
    target.focus();
  }
});
