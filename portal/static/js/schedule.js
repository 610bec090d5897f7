// The schedule board: drag a place to other shifts of its line, or Enter, arrows, Enter. What it would break is said at
// once; the server has the last word. Without this each place is a link that opens the form for the same.

const PAUSE_MS = 200; // before the server is asked what it would break
const FAR_PX = 4; // a press that moves less is a click
const SWIPE_PX = 10; // a finger that moves this far before it has held scrolls
const HOLD_MS = 350; // a finger that rests so long takes up what is under it
const FAR_MS = 400; // how late the click after a drag may come

const board = document.getElementById("board");
const said = document.getElementById("said");
const drop = document.getElementById("drop");
const shifts = JSON.parse(document.getElementById("shifts")?.textContent ?? "[]");
let lift = null; // what is being moved: {grip, line, at, span, cells}
let timer;
let asked;

const bounds = (text) => (text ? text.split(" ").map((one) => one.split("-").map(Number)) : []);

/** Return the row of a line, and its cells by the shift they stand for. */
function cellsOf(line) {
  const found = [];
  for (const row of board.querySelectorAll(`tr[data-line="${CSS.escape(line)}"]`)) {
    for (const cell of row.querySelectorAll("td[data-at]")) {
      for (let at = Number(cell.dataset.at); at < Number(cell.dataset.at) + cell.colSpan; at += 1) found[at] ??= cell;
    }
  }
  return found;
}

function take(grip, how = board.dataset.lifted) {
  const cell = grip.closest("td");
  const line = cell ? cell.closest("tr").dataset.line : grip.dataset.line;
  const cells = cellsOf(line);
  const home = cell ? Number(cell.dataset.at) : Math.max(cells.findIndex((one) => one?.classList.contains("open")), 0);
  lift = { grip, line, cells, home, at: home, span: Number(grip.dataset.span) };
  grip.classList.add("lifted");
  for (const [kind, text] of [["bad", grip.dataset.bad], ["good", grip.dataset.good]]) {
    for (const [first, last] of bounds(text)) {
      for (let at = first; at <= last; at += 1) if (cells[at]?.matches(".open, .change")) cells[at].classList.add(kind);
    }
  }
  say(how);
}

function clear() {
  for (const cell of board.querySelectorAll(".over")) cell.classList.remove("over", "no");
}

function put_down() {
  if (!lift) return;
  clear();
  for (const cell of new Set(lift.cells)) if (cell && !cell.querySelector("a")) cell.classList.remove("bad", "good");
  lift.grip.classList.remove("lifted");
  lift = null;
  clearTimeout(timer);
  asked?.abort();
  document.documentElement.classList.remove("dragging");
  say("");
}

function say(text) {
  said.textContent = text;
}

const label = (at) => new Date(shifts[at].at).toLocaleString(document.documentElement.lang, { timeZone: shifts[at].zone, dateStyle: "medium", timeStyle: "short" });

/** Show it from shift `at` on, and ask what that would break. */
function hover(at) {
  lift.at = Math.min(Math.max(at, 0), shifts.length - lift.span);
  clear();
  const over = lift.cells.slice(lift.at, lift.at + lift.span);
  const free = over.every((cell) => cell && (cell.matches(".open, .change, .good") || cell.contains(lift.grip)));
  for (const cell of over) cell?.classList.add("over", ...(free ? [] : ["no"]));
  for (const cell of [over.at(-1), over[0]]) cell?.scrollIntoView({ block: "nearest", inline: "nearest" });
  say(label(lift.at));
  clearTimeout(timer);
  asked?.abort();
  timer = setTimeout(look, PAUSE_MS);
}

async function look() {
  const { at, line, grip } = lift;
  const query = new URLSearchParams({ number: grip.dataset.number, line, at: shifts[at].at });
  asked = new AbortController();
  try {
    const answer = await fetch(`${board.dataset.look}?${query}`, { signal: asked.signal });
    if (!answer.ok || lift?.at !== at || lift.grip !== grip) return;
    const { faults } = await answer.json();
    say(`${label(at)} · ${faults.length ? faults.join(" ") : board.dataset.free}`);
    for (const cell of board.querySelectorAll(".over")) cell.classList.toggle("no", faults.length > 0);
  } catch (error) {
    if (error.name !== "AbortError") say(label(at));
  }
}

/** Put it where it is shown: the form goes to the server, which refuses with everything that is wrong. */
function finish() {
  const { grip, line, at, home } = lift;
  const stays = at === home && grip.closest("td");
  put_down();
  if (stays) {
    window.location.assign(grip.href); // the form for the same
    return;
  }
  drop.elements.number.value = grip.dataset.number;
  drop.elements.line.value = line;
  drop.elements.at.value = shifts[at].at;
  drop.elements.seen.value = grip.dataset.seen;
  drop.submit();
}

/** Return the shift under the pointer, on the line of what is moved. */
function under(event) {
  const column = lift.cells.findIndex((cell) => {
    if (!cell) return false;
    const box = cell.getBoundingClientRect();
    return event.clientX >= box.left && event.clientX < box.right;
  });
  if (column < 0) return lift.at;
  const box = lift.cells[column].getBoundingClientRect();
  return column + Math.floor(((event.clientX - box.left) / box.width) * lift.cells[column].colSpan);
}

/** Mouse and pen drag at once; a finger holds first, so that a swipe still scrolls the board. */
function press(event) {
  const grip = event.target.closest?.("a[data-place]");
  if (!grip || !event.isPrimary || event.button || event.ctrlKey || event.metaKey) return;
  const touch = event.pointerType === "touch";
  const box = grip.getBoundingClientRect();
  const grabbed = grip.closest("td") ? Math.floor(((event.clientX - box.left) / box.width) * Number(grip.dataset.span)) : 0;
  let moved = false;
  let held;
  const begin = () => {
    moved = true;
    put_down();
    take(grip, board.dataset.held);
    document.documentElement.classList.add("dragging");
  };
  const drag = (move) => {
    if (move.pointerId !== event.pointerId) return;
    if (!moved) {
      const far = Math.hypot(move.clientX - event.clientX, move.clientY - event.clientY);
      if (far < (touch ? SWIPE_PX : FAR_PX)) return;
      if (touch) return end();
      begin();
    }
    if (lift?.grip === grip) hover(under(move) - grabbed);
  };
  const end = () => {
    clearTimeout(held);
    window.removeEventListener("pointermove", drag);
    window.removeEventListener("pointerup", up);
    window.removeEventListener("pointercancel", cancel);
  };
  const up = (last) => {
    if (last.pointerId !== event.pointerId) return;
    end();
    if (!moved) return;
    const swallow = (click) => { click.preventDefault(); click.stopPropagation(); };
    window.addEventListener("click", swallow, { capture: true, once: true });
    setTimeout(() => window.removeEventListener("click", swallow, { capture: true }), FAR_MS);
    setTimeout(() => { if (lift?.grip === grip) finish(); });
  };
  const cancel = (gone) => {
    if (gone.pointerId !== event.pointerId) return;
    end();
    if (moved) put_down();
  };
  if (touch) held = setTimeout(begin, HOLD_MS);
  window.addEventListener("pointermove", drag);
  window.addEventListener("pointerup", up);
  window.addEventListener("pointercancel", cancel);
}

function key(event) {
  if (lift && event.key === "Escape") {
    event.preventDefault();
    put_down();
    return;
  }
  const grip = event.target.closest?.("a[data-place]");
  if (!grip) return;
  if (!lift) {
    if (event.key !== "Enter" || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    take(grip);
    hover(lift.at);
    return;
  }
  const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -21, PageDown: 21 };
  if (event.key in steps) hover(lift.at + steps[event.key]);
  else if (event.key === "Enter") finish();
  else return;
  event.preventDefault();
}

if (board?.dataset.look && drop) {
  document.addEventListener("pointerdown", press);
  // A finger that holds a place moves the place, not the board, and opens no menu.
  for (const area of document.querySelectorAll("#board, .waiting")) {
    area.addEventListener("touchmove", (event) => { if (lift) event.preventDefault(); }, { passive: false });
    area.addEventListener("contextmenu", (event) => { if (lift) event.preventDefault(); });
  }
  document.addEventListener("dragstart", (event) => { if (event.target.closest?.("a[data-place]")) event.preventDefault(); });
  document.addEventListener("keydown", key);
  document.addEventListener("focusout", (event) => { if (lift && event.target === lift.grip && !document.documentElement.classList.contains("dragging")) put_down(); });
}
// The board opens where something is picked, or today.
const opened = board?.querySelector(".picked");
if (opened) opened.scrollIntoView({ block: "nearest", inline: "center" });
else {
  const today = board?.querySelector("thead .today");
  if (today) board.parentElement.scrollLeft = today.offsetLeft - today.parentElement.firstElementChild.offsetWidth;
}
