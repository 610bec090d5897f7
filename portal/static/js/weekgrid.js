// The week grid's comfort: arrow keys, click or drag on free time, and the booking form in a dialog.
// Without it every cell is a plain link to the booking form's page.

import { openDialog } from "./app.js";

const DEFAULT_SLOTS = 2; // a click proposes one hour

class Week {
  constructor(table) {
    this.table = table;
    this.first = Number(table.dataset.first);
    this.columns = Number(table.dataset.columns);
    this.rows = [...table.tBodies[0].rows].map((row) => [...row.querySelectorAll("td")].map((td) => td.querySelector("a.track")));
    const cells = this.rows.flat().filter(Boolean);
    for (const cell of cells) cell.tabIndex = -1;
    const entry = cells.find((cell) => cell.offsetParent) ?? cells[0];
    if (entry) entry.tabIndex = 0;
    table.addEventListener("keydown", (event) => this.move(event));
    table.addEventListener("focusin", (event) => this.enter(event.target));
    table.addEventListener("pointerdown", (event) => this.start(event));
    table.addEventListener("click", (event) => this.click(event));
    table.addEventListener("dragstart", (event) => event.preventDefault());
  }

  enter(target) {
    if (!target.matches("a.track")) return;
    const old = this.table.querySelector("a.track[tabindex='0']");
    if (old) old.tabIndex = -1;
    target.tabIndex = 0;
  }

  /** Arrows go to the next bookable cell that way; Home and End along the row, Page keys along the column. */
  move(event) {
    const cell = event.target.closest("a.track");
    if (!cell || event.altKey || event.metaKey) return;
    const y = this.rows.findIndex((row) => row.includes(cell));
    const x = this.rows[y].indexOf(cell);
    const width = this.rows[y].length;
    const height = this.rows.length;
    const walk = { ArrowLeft: [x - 1, y, -1, 0], ArrowRight: [x + 1, y, 1, 0], ArrowUp: [x, y - 1, 0, -1],
      ArrowDown: [x, y + 1, 0, 1], Home: [0, y, 1, 0], End: [width - 1, y, -1, 0],
      PageUp: [x, 0, 0, 1], PageDown: [x, height - 1, 0, -1] }[event.key];
    if (!walk) return;
    event.preventDefault();
    const [, , dx, dy] = walk;
    for (let [i, j] = walk; i >= 0 && i < width && j >= 0 && j < height; i += dx, j += dy) {
      const next = this.rows[j][i];
      if (next?.offsetParent) return next.focus();
    }
  }

  /** Return which columns of a track are free, from the classes of its blocks. */
  free(track) {
    const open = new Array(this.columns).fill(false);
    for (const block of track.querySelectorAll(".b:not(.pick)")) {
      const from = Number(/\bs(\d+)/.exec(block.className)[1]);
      const span = Number(/\bw(\d+)/.exec(block.className)[1]);
      open.fill(block.classList.contains("free"), from, from + span);
    }
    return open;
  }

  column(track, x) {
    const box = track.getBoundingClientRect();
    return Math.min(this.columns - 1, Math.max(0, Math.floor(((x - box.left) / box.width) * this.columns)));
  }

  clock(column) {
    const slot = this.first + column;
    return `${String(slot >> 1).padStart(2, "0")}:${slot & 1 ? "30" : "00"}`;
  }

  open(track, from, to) {
    const url = new URL(track.href);
    if (from !== undefined) {
      url.searchParams.set("start", this.clock(from));
      url.searchParams.set("end", this.clock(to));
    }
    openDialog(url.pathname + url.search);
  }

  /** Drag along free time. A finger scrolls instead; its tap is a click. */
  start(event) {
    const track = event.target.closest("a.track");
    if (!track || event.pointerType === "touch" || event.button || event.ctrlKey || event.metaKey) return;
    const free = this.free(track);
    const anchor = this.column(track, event.clientX);
    if (!free[anchor]) return;
    const pick = document.createElement("i");
    let from = anchor;
    let to = anchor + 1;
    const drag = (move) => {
      const at = this.column(track, move.clientX);
      from = to = anchor;
      if (at < anchor) while (from > at && free[from - 1]) from -= 1;
      to = anchor + 1;
      if (at > anchor) while (to <= at && free[to]) to += 1;
      if (at === anchor && !pick.isConnected) return;
      pick.className = `b pick s${from} w${to - from}`;
      pick.dataset.span = `${this.clock(from)}–${this.clock(to)}`;
      if (!pick.isConnected) track.append(pick);
      document.documentElement.classList.add("dragging");
    };
    const end = (up) => {
      window.removeEventListener("pointermove", drag);
      window.removeEventListener("pointerup", end);
      window.removeEventListener("pointercancel", end);
      document.documentElement.classList.remove("dragging");
      if (!pick.isConnected) return;
      pick.remove();
      if (up.type !== "pointerup") return;
      this.dragged = true; // the click that follows belongs to the drag
      setTimeout(() => { this.dragged = false; });
      track.focus();
      this.open(track, from, to);
    };
    window.addEventListener("pointermove", drag);
    window.addEventListener("pointerup", end);
    window.addEventListener("pointercancel", end);
  }

  click(event) {
    const track = event.target.closest("a.track");
    if (!track || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    if (this.dragged) return;
    const free = this.free(track);
    const from = this.column(track, event.clientX);
    if (event.detail === 0 || !free[from]) return this.open(track);
    let to = from + 1;
    while (to < from + DEFAULT_SLOTS && free[to]) to += 1;
    this.open(track, from, to);
  }
}

for (const table of document.querySelectorAll("table[data-week]")) new Week(table);
