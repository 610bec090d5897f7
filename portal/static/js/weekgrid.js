// The week grid's comfort: arrow keys, click or drag on free time, its price while it is chosen, the form in a dialog.
// Without it every cell is a plain link to the booking form's page.

import { openDialog } from "./app.js";
import { Mover } from "./weekmove.js";

const DEFAULT_SLOTS = 2; // a click proposes one hour
const PAUSE_MS = 150; // before a price is asked for

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
    this.said = table.parentElement.querySelector("[data-picked]");
    new Mover(table, this.said);
    this.pick = null; // what is chosen by keyboard: {track, from, to, mark}
    table.addEventListener("focusout", () => this.drop());
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
    if (!cell || event.altKey || event.metaKey || this.choose(event, cell)) return;
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

  /** Shift and arrows choose a span of free time, arrows then move it, Escape drops it. Say whether the key was used. */
  choose(event, track) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape" && this.pick) this.drop();
    else if (!step || !(event.shiftKey || this.pick)) return false;
    else {
      const free = this.free(track);
      let { from, to } = this.pick ?? { from: free.indexOf(true), to: 0 };
      if (!this.pick) for (to = from; to < from + DEFAULT_SLOTS && free[to];) to += 1;
      else if (event.shiftKey) to = step > 0 && free[to] ? to + 1 : step < 0 && to > from + 1 ? to - 1 : to;
      else [from, to] = this.shifted(free, from, to, step);
      if (from >= 0) this.show(track, from, to);
    }
    event.preventDefault();
    return true;
  }

  /** Return the next place that way where the whole span is free, or where it is. */
  shifted(free, from, to, step) {
    for (let at = from + step; at >= 0 && at + to - from <= this.columns; at += step) {
      if (free.slice(at, at + to - from).every(Boolean)) return [at, at + to - from];
    }
    return [from, to];
  }

  show(track, from, to) {
    const mark = this.pick?.mark ?? document.createElement("i");
    this.pick = { track, from, to, mark };
    this.mark(mark, track, from, to);
  }

  drop() {
    this.pick?.mark.remove();
    this.pick = null;
    this.quiet();
  }

  /** Draw a span and say it, with its price as soon as the server has it. */
  mark(mark, track, from, to) {
    const span = `${this.clock(from)}–${this.clock(to)}`;
    if (mark.isConnected && mark.dataset.span.startsWith(span)) return;
    mark.className = `b pick s${from} w${to - from}`;
    mark.dataset.span = span;
    if (!mark.isConnected) track.append(mark);
    this.quiet();
    if (this.said) this.said.textContent = span;
    if ("price" in this.table.dataset) this.timer = setTimeout(() => this.price(mark, track, from, to), PAUSE_MS);
  }

  quiet() {
    clearTimeout(this.timer);
    this.asked?.abort();
    if (this.said) this.said.textContent = "";
  }

  async price(mark, track, from, to) {
    this.asked = new AbortController();
    const url = this.address(track, from, to);
    url.pathname = url.pathname.replace(/book\/$/, "price/");
    try {
      const answer = await fetch(url, { signal: this.asked.signal });
      if (!answer.ok || !mark.isConnected) return;
      const text = await answer.text();
      this.said.textContent = text;
      mark.dataset.span = text.split(" · ").slice(0, 2).join(" · ");
    } catch (error) {
      if (error.name !== "AbortError") this.said.textContent = mark.dataset.span;
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

  address(track, from, to) {
    const url = new URL(track.href);
    if (from !== undefined) {
      url.searchParams.set("start", this.clock(from));
      url.searchParams.set("end", this.clock(to));
    }
    return url;
  }

  open(track, from, to) {
    const url = this.address(track, from, to);
    this.drop();
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
      this.mark(pick, track, from, to);
      document.documentElement.classList.add("dragging");
    };
    const end = (up) => {
      window.removeEventListener("pointermove", drag);
      window.removeEventListener("pointerup", end);
      window.removeEventListener("pointercancel", end);
      document.documentElement.classList.remove("dragging");
      if (!pick.isConnected) return;
      pick.remove();
      this.quiet();
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
    if (event.detail === 0 && this.pick) return this.open(track, this.pick.from, this.pick.to);
    const free = this.free(track);
    const from = this.column(track, event.clientX);
    if (event.detail === 0 || !free[from]) return this.open(track);
    let to = from + 1;
    while (to < from + DEFAULT_SLOTS && free[to]) to += 1;
    this.open(track, from, to);
  }
}

for (const table of document.querySelectorAll("table[data-week]")) new Week(table);
