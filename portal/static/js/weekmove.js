// Own bookings in the week grid: drag one to other time of its row, or Enter, arrows, Enter. The form then confirms.
// Without it each is a link to the booking, whose page offers the same form; a tap opens that form at once.

import { openDialog } from "./app.js";

const PAUSE_MS = 200; // before the price is asked for
const FAR_PX = 4; // a press that moves less is a click

export class Mover {
  constructor(table, said) {
    this.table = table;
    this.said = said;
    this.first = Number(table.dataset.first);
    this.columns = Number(table.dataset.columns);
    this.lift = null; // what is being moved: {grip, cell, at, home, ghost}
    table.addEventListener("pointerdown", (event) => this.press(event));
    table.addEventListener("click", (event) => this.click(event));
    table.addEventListener("keydown", (event) => this.key(event));
    table.addEventListener("focusout", () => { if (this.lift?.keys) this.drop(); });
  }

  /** Take a booking up; `keys`: by keyboard, until it is put down or loses the focus. */
  take(grip, keys) {
    const start = minutes(grip.dataset.start);
    this.lift = {
      grip, keys, start,
      cell: grip.closest("td"),
      at: Math.floor(start / 30) - this.first,
      home: Math.floor(start / 30) - this.first,
      width: Number(/\bw(\d+)/.exec(grip.className)[1]),
      step: Number(grip.dataset.step),
      ghost: document.createElement("i"),
    };
    this.lift.own = this.lift.cell;
    grip.classList.add("lifted");
    if (keys) this.say(this.table.dataset.lifted);
  }

  drop() {
    if (!this.lift) return;
    this.lift.grip.classList.remove("lifted");
    this.lift.ghost.remove();
    this.lift = null;
    clearTimeout(this.timer);
    this.asked?.abort();
    document.documentElement.classList.remove("dragging");
    this.say("");
  }

  say(text) {
    if (this.said) this.said.textContent = text;
  }

  /** Show the booking at a column of a day of its row, as near as its steps and the grid allow. */
  place(cell, column) {
    const lift = this.lift;
    let at = lift.home + Math.round((column - lift.home) / lift.step) * lift.step;
    while (at < 0) at += lift.step;
    while (at > 0 && at + lift.width > this.columns) at -= lift.step;
    if (lift.ghost.isConnected && cell === lift.cell && at === lift.at) return;
    Object.assign(lift, { cell, at });
    const fits = this.free(cell).slice(at, at + lift.width).every(Boolean);
    this.show(fits, "");
    cell.querySelector(".track").append(lift.ghost);
    const day = this.table.tHead.rows[0].cells[cell.cellIndex].querySelector(".vh").textContent.trim();
    this.say(`${day} ${this.span()}${fits ? "" : ` · ${this.table.dataset.taken}`}`);
    clearTimeout(this.timer);
    this.asked?.abort();
    this.timer = setTimeout(() => this.price(), PAUSE_MS);
  }

  show(fits, more) {
    const { ghost, at, width } = this.lift;
    ghost.className = `b pick ghost s${at} w${width}${fits ? "" : " no"}`;
    ghost.dataset.span = [this.span(), fits ? more : this.table.dataset.taken].filter(Boolean).join(" · ");
  }

  async price() {
    const { ghost, cell, at } = this.lift;
    const url = this.address();
    url.pathname += "price/";
    this.asked = new AbortController();
    try {
      const answer = await fetch(url, { signal: this.asked.signal });
      if (!answer.ok) return;
      const { text, fits } = await answer.json();
      if (this.lift?.ghost !== ghost || this.lift.cell !== cell || this.lift.at !== at) return;
      this.show(fits, text.split(" · ")[1]);
      this.say(text);
    } catch (error) {
      if (error.name !== "AbortError") this.say(ghost.dataset.span);
    }
  }

  /** Return which columns of a day the booking may have, as far as the page knows: free time and its own. */
  free(cell) {
    const open = new Array(this.columns).fill(false);
    const { own, home } = this.lift;
    for (const block of cell.querySelectorAll(".track:not(.grips) > .b:not(.pick)")) {
      const from = Number(/\bs(\d+)/.exec(block.className)[1]);
      const to = from + Number(/\bw(\d+)/.exec(block.className)[1]);
      const mine = cell === own && !block.matches(".free") && from <= home && home < to;
      open.fill(mine || block.matches(".free"), from, to);
    }
    return open;
  }

  get times() {
    const { start, at, home, grip } = this.lift;
    const from = start + (at - home) * 30;
    return [from, from + Number(grip.dataset.minutes)].map(clock);
  }

  span() {
    return this.times.join("–");
  }

  address() {
    const { grip, cell } = this.lift;
    const url = new URL(grip.dataset.move, window.location.href);
    const [start, end] = this.times;
    url.search = new URLSearchParams({ day: cell.dataset.day, start, end });
    return url;
  }

  /** Put the booking down: the form shows the price and what speaks against it, and asks. */
  finish() {
    const url = this.address();
    this.drop();
    openDialog(url.pathname + url.search);
  }

  press(event) {
    const grip = event.target.closest("a[data-move]");
    if (!grip || event.pointerType === "touch" || event.button || event.ctrlKey || event.metaKey) return;
    const box = grip.getBoundingClientRect();
    const grabbed = Math.floor(((event.clientX - box.left) / box.width) * Number(/\bw(\d+)/.exec(grip.className)[1]));
    let moved = false;
    const drag = (move) => {
      if (!moved && Math.hypot(move.clientX - event.clientX, move.clientY - event.clientY) < FAR_PX) return;
      if (!moved) {
        this.drop();
        this.take(grip, false);
        document.documentElement.classList.add("dragging");
      }
      moved = true;
      if (!this.lift) return;
      const [cell, column] = this.under(grip.closest("tr"), move.clientX);
      this.place(cell, column - grabbed);
    };
    const done = (end) => {
      for (const [name, listener] of listeners) window.removeEventListener(name, listener, true);
      if (!moved) return;
      this.dragged = true; // the click that follows belongs to the drag
      setTimeout(() => { this.dragged = false; });
      if (!this.lift) return;
      grip.focus();
      if (end.type === "pointerup") this.finish();
      else this.drop();
    };
    const escape = (key) => {
      if (key.key !== "Escape" || !this.lift) return;
      key.preventDefault();
      this.drop();
    };
    const listeners = [["pointermove", drag], ["pointerup", done], ["pointercancel", done], ["keydown", escape]];
    for (const [name, listener] of listeners) window.addEventListener(name, listener, true);
  }

  /** Return the day of a row, and its column, that lie under or nearest to x. */
  under(row, x) {
    const cells = this.days(row);
    const cell = cells.find((each) => x < each.getBoundingClientRect().right) ?? cells.at(-1);
    const box = cell.getBoundingClientRect();
    return [cell, Math.min(this.columns - 1, Math.max(0, Math.floor(((x - box.left) / box.width) * this.columns)))];
  }

  days(row) {
    return [...row.querySelectorAll("td")].filter((cell) => cell.offsetParent);
  }

  click(event) {
    const grip = event.target.closest("a[data-move]");
    if (!grip || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    if (!this.dragged) openDialog(grip.dataset.move);
  }

  key(event) {
    const grip = event.target.closest("a[data-move]");
    if (!grip || event.altKey || event.ctrlKey || event.metaKey) return;
    const lift = this.lift;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      if (lift) this.finish();
      else this.take(grip, true);
      return;
    }
    const [side, day] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    if (!lift || (event.key !== "Escape" && !side && !day)) return;
    event.preventDefault();
    if (event.key === "Escape") return this.drop();
    const cells = this.days(grip.closest("tr"));
    const next = lift.at + side * lift.step;
    const over = side && (next < 0 || next + lift.width > this.columns);
    const cell = cells[cells.indexOf(lift.cell) + (over ? side : day)];
    if (cell) this.place(cell, over ? (side > 0 ? 0 : this.columns) : next);
  }
}

function minutes(text) {
  const [hours, rest] = text.split(":");
  return Number(hours) * 60 + Number(rest);
}

function clock(at) {
  return `${String(Math.floor(at / 60)).padStart(2, "0")}:${String(at % 60).padStart(2, "0")}`;
}
