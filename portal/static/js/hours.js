// The week of opening hours as a picture: paint, move, resize, delete and copy. It reads the form's rows and writes them
// back, so that the server hears the same with and without it; without it the rows themselves are edited.

const STEP = 30; // minutes
const DAY = 24 * 60;
const EDGE_PX = 8; // so near to its ends a period is resized
const LAST = 100; // how many acts can be taken back

class Editor {
  constructor(root) {
    this.root = root;
    this.form = root.closest("form");
    this.rows = this.form.querySelector("[data-rows]");
    this.out = root.querySelector("[data-out]");
    this.panel = root.querySelector("[data-panel]");
    this.said = root.querySelector("[data-said]");
    this.days = [...root.querySelectorAll("[data-weekday]")];
    this.periods = this.read();
    this.past = [];
    this.chosen = null;
    for (const plain of [this.rows, ...this.form.querySelectorAll("[data-plain]")]) plain.remove();
    root.hidden = false;
    for (const day of this.days) {
      day.addEventListener("pointerdown", (event) => this.press(event, day));
      day.addEventListener("keydown", (event) => this.key(event));
      day.addEventListener("click", (event) => this.click(event));
    }
    root.addEventListener("click", (event) => this.act(event.target.closest("[data-act]")));
    this.panel.addEventListener("change", () => this.fill());
    this.panel.addEventListener("keydown", (event) => this.leave(event));
    this.form.elements.follows_holidays.addEventListener("change", () => this.tell());
    this.draw();
    this.write();
  }

  /** Return every period of the form's rows: one for each day of a row. */
  read() {
    const periods = [];
    for (const row of this.rows.querySelectorAll("[data-row]")) {
      const value = (name) => row.querySelector(`[name$="-${name}"]`).value;
      const [opens, closes] = [minutes(value("opens")), minutes(value("closes"))];
      if (opens === null || closes === null) continue;
      for (const box of row.querySelectorAll('[name$="-weekdays"]:checked')) {
        periods.push({
          day: Number(box.value), opens, closes: closes > opens ? closes : closes + DAY,
          since: value("valid_from"), until: value("valid_until"), audience: value("audience"),
          automatic: row.querySelector('[name$="-is_automatic"]').checked,
        });
      }
    }
    return periods;
  }

  /** Let the form ask what the hours as they are now would change. */
  tell() {
    this.form.dispatchEvent(new CustomEvent("hours"));
  }

  /** Put the periods into the form, days with the same hours as one row. */
  write() {
    const rows = new Map();
    for (const { day, ...rest } of this.sorted()) {
      const key = JSON.stringify(rest);
      rows.set(key, [...(rows.get(key) ?? []), day]);
    }
    const fields = [];
    [...rows].forEach(([key, days], place) => {
      const row = JSON.parse(key);
      const put = (name, value) => fields.push(field(`row${place}-${name}`, value));
      days.forEach((day) => put("weekdays", day));
      put("opens", clock(row.opens));
      put("closes", clock(row.closes % DAY));
      put("valid_from", row.since);
      put("valid_until", row.until);
      put("audience", row.audience);
      if (row.automatic) put("is_automatic", "on");
    });
    this.form.elements.rows.value = rows.size;
    this.out.replaceChildren(...fields);
  }

  sorted() {
    return [...this.periods].sort((one, two) => one.day - two.day || one.opens - two.opens || one.closes - two.closes);
  }

  /** Change the periods by `how`, draw and tell them; the act can be taken back. */
  change(how) {
    this.past.push(JSON.stringify(this.periods));
    this.past.splice(0, this.past.length - LAST);
    how();
    this.draw();
    this.write();
    this.tell();
  }

  draw() {
    for (const day of this.days) {
      const number = Number(day.dataset.weekday);
      const mine = this.sorted().filter((period) => period.day === number);
      const lanes = [];
      for (const period of mine) {
        let lane = lanes.findIndex((end) => end <= period.opens);
        if (lane < 0) lane = lanes.push(0) - 1;
        lanes[lane] = period.closes;
        period.lane = lane;
      }
      const before = this.periods.filter((period) => period.day % 7 + 1 === number && period.closes > DAY);
      day.replaceChildren(
        ...before.map((period) => this.tail(period)),
        ...mine.map((period) => this.block(period, Math.max(lanes.length, 1))),
      );
      for (const period of mine) delete period.lane;
    }
    this.root.querySelector('[data-act="back"]').disabled = !this.past.length;
    this.edit();
  }

  block(period, lanes) {
    const block = document.createElement("button");
    block.type = "button";
    block.className = `period ${period.audience}${period.automatic ? " automatic" : ""}${this.clash(period) ? " clash" : ""}`;
    if (period.closes > DAY) block.classList.add("on");
    if (period === this.chosen) block.setAttribute("aria-pressed", "true");
    place(block, period.opens, Math.min(period.closes, DAY), period.lane, lanes);
    block.textContent = span(period);
    block.setAttribute("aria-label", this.words(period));
    block.period = period;
    return block;
  }

  tail(period) {
    const tail = document.createElement("i");
    tail.className = `period tail ${period.audience}`;
    place(tail, 0, period.closes - DAY, 0, 1);
    return tail;
  }

  words(period) {
    const more = this.clash(period) ? this.root.dataset.clash : "";
    return [this.plain(period), more].filter(Boolean).join(", ");
  }

  plain(period) {
    const more = period.automatic ? this.root.dataset.automatic : "";
    return [`${this.name(period.day)} ${span(period)}`, this.audience(period), more].filter(Boolean).join(", ");
  }

  name(day) {
    return this.days[day - 1].getAttribute("aria-label");
  }

  audience(period) {
    return this.panel.querySelector(`[name=audience] option[value="${period.audience}"]`).textContent;
  }

  /** Return the period that opens the same time for the same people, if one does. */
  clash(period) {
    return this.periods.find((other) => other !== period && other.audience === period.audience && meet(period, other));
  }

  say(text) {
    this.said.textContent = text;
  }

  choose(period, focus) {
    this.chosen = period;
    this.draw();
    if (focus) this.focus(period);
  }

  focus(period) {
    const block = this.days.flatMap((day) => [...day.children]).find((each) => each.period === period);
    block?.focus();
  }

  // ---- the panel: one period in words

  edit() {
    this.panel.hidden = !this.chosen;
    if (!this.chosen) return;
    const { opens, closes, audience, automatic, since, until, day } = this.chosen;
    const set = (name, value) => { this.panel.querySelector(`[name=${name}]`).value = value; };
    set("day", day);
    set("opens", clock(opens));
    set("closes", clock(closes % DAY));
    set("audience", audience);
    set("since", since);
    set("until", until);
    this.panel.querySelector("[name=automatic]").checked = automatic;
    const clash = this.clash(this.chosen);
    const note = this.panel.querySelector("[data-clash]");
    note.hidden = !clash;
    note.textContent = clash ? `${this.root.dataset.clash}: ${this.plain(this.chosen)} / ${this.plain(clash)}` : "";
  }

  fill() {
    const period = this.chosen;
    const value = (name) => this.panel.querySelector(`[name=${name}]`).value;
    const [opens, closes] = [minutes(value("opens")), minutes(value("closes"))];
    if (!period || opens === null || closes === null) return;
    this.change(() => Object.assign(period, {
      day: Number(value("day")), opens, closes: closes > opens ? closes : closes + DAY, audience: value("audience"),
      automatic: this.panel.querySelector("[name=automatic]").checked, since: value("since"), until: value("until"),
    }));
  }

  /** Enter and Escape lead from the fields back to the period; Enter sends nothing. */
  leave(event) {
    if (event.key !== "Escape" && !(event.key === "Enter" && event.target.matches("input"))) return;
    event.preventDefault();
    this.fill();
    this.focus(this.chosen);
  }

  /** Do what a button of the editor says. */
  act(button) {
    if (!button) return;
    const { act } = button.dataset;
    if (act === "back" && this.past.length) {
      this.periods = JSON.parse(this.past.pop());
      this.chosen = null;
      this.draw();
      this.write();
      this.tell();
    } else if (act === "add") {
      const made = { day: Number(button.dataset.day), opens: 9 * 60, closes: 17 * 60, ...this.brush() };
      this.change(() => this.periods.push(made));
      this.choose(made, true);
    } else if (act === "delete") this.remove(this.chosen);
    else if (act === "close") this.choose(null);
    else if (act === "copy") this.copy(Number(button.dataset.day));
  }

  remove(period) {
    if (!period) return;
    const day = this.days[period.day - 1];
    const told = this.words(period);
    this.change(() => {
      this.periods = this.periods.filter((other) => other !== period);
      this.chosen = null;
    });
    this.say(`${this.root.dataset.deleted}: ${told}`);
    (day.querySelector("button") ?? day.parentElement.querySelector("[data-act=add]")).focus();
  }

  /** Give the days ticked beside a day what that day has, in place of what they had. */
  copy(day) {
    const boxes = [...this.root.querySelectorAll(`[data-copy="${day}"] input:checked`)];
    const to = boxes.map((box) => Number(box.value));
    if (!to.length) return;
    this.change(() => {
      const model = this.periods.filter((period) => period.day === day);
      this.periods = this.periods.filter((period) => !to.includes(period.day));
      for (const target of to) this.periods.push(...model.map((period) => ({ ...period, day: target })));
      this.chosen = null;
    });
    for (const box of boxes) box.checked = false;
    this.root.querySelector(`[data-copy="${day}"]`).open = false;
    this.say(`${this.name(day)} → ${to.map((each) => this.name(each)).join(", ")}`);
  }

  brush() {
    const { audience = "everybody", automatic = false } = this.chosen ?? {};
    return { audience, automatic, since: "", until: "" };
  }

  // ---- mouse

  press(event, day) {
    if (event.button || event.pointerType === "touch" || event.ctrlKey || event.metaKey) return;
    const period = event.target.period;
    const at = this.minute(day, event.clientX);
    const box = period && event.target.getBoundingClientRect();
    const mode = !period ? "paint" : event.clientX - box.left < EDGE_PX ? "start" : box.right - event.clientX < EDGE_PX ? "end" : "move";
    const before = JSON.stringify(this.periods);
    const was = period ? { ...period } : null;
    let drawn = period;
    let moved = false;
    const drag = (move) => {
      const now = this.minute(day, move.clientX);
      if (!moved && Math.abs(move.clientX - event.clientX) < 4 && Math.abs(move.clientY - event.clientY) < 4) return;
      moved = true;
      if (mode === "paint") {
        const [from, to] = [Math.min(down(at), down(now)), Math.max(down(at), down(now)) + STEP];
        if (!drawn) this.periods.push(drawn = { day: Number(day.dataset.weekday), ...this.brush() });
        Object.assign(drawn, { opens: from, closes: Math.min(to, DAY) });
      } else if (mode === "start") drawn.opens = Math.max(0, Math.min(was.opens + near(now - at), was.closes - STEP, DAY - STEP));
      else if (mode === "end") drawn.closes = Math.max(was.opens + STEP, Math.min(was.closes + near(now - at), was.opens + DAY));
      else {
        const shift = bounded(was, near(now - at));
        Object.assign(drawn, { opens: was.opens + shift, closes: was.closes + shift, day: this.under(move.clientY) });
      }
      this.chosen = drawn;
      this.draw();
      this.say(this.words(drawn));
      document.documentElement.classList.add("dragging");
    };
    const finish = (end) => {
      for (const [name, listener] of listeners) window.removeEventListener(name, listener, true);
      document.documentElement.classList.remove("dragging");
      if (!moved) return;
      this.dragged = true;
      setTimeout(() => { this.dragged = false; });
      if (end.type !== "pointerup") {
        this.periods = JSON.parse(before);
        this.chosen = null;
        return this.draw();
      }
      this.past.push(before);
      this.draw();
      this.write();
      this.tell();
      this.focus(drawn);
    };
    const escape = (key) => { if (key.key === "Escape") finish(key); };
    const listeners = [["pointermove", drag], ["pointerup", finish], ["pointercancel", finish], ["keydown", escape]];
    for (const [name, listener] of listeners) window.addEventListener(name, listener, true);
    if (!period) event.preventDefault();
  }

  click(event) {
    if (!this.dragged && event.target.period) this.choose(event.target.period, true);
  }

  minute(day, x) {
    const box = day.getBoundingClientRect();
    return Math.max(0, Math.min(DAY - 1, ((x - box.left) / box.width) * DAY));
  }

  under(y) {
    const at = this.days.findIndex((day) => y < day.getBoundingClientRect().bottom);
    return at < 0 ? 7 : at + 1;
  }

  // ---- keys on a period: arrows move it, Shift and arrows its end, Delete removes it, Enter opens its fields

  key(event) {
    const period = event.target.period;
    if (!period || event.altKey || event.ctrlKey || event.metaKey) return;
    const side = { ArrowLeft: -STEP, ArrowRight: STEP }[event.key] ?? 0;
    const day = { ArrowUp: -1, ArrowDown: 1 }[event.key] ?? 0;
    if (event.key === "Delete" || event.key === "Backspace") this.remove(period);
    else if (event.key === "Enter" || event.key === " ") {
      this.choose(period);
      this.panel.querySelector("[name=opens]").focus();
    } else if (side || day) {
      const { opens, closes } = period;
      const moved = event.shiftKey
        ? { closes: Math.max(opens + STEP, Math.min(closes + side, opens + DAY)) }
        : { opens: opens + bounded(period, side), closes: closes + bounded(period, side), day: clamp(period.day + day, 1, 7) };
      this.chosen = period;
      this.change(() => Object.assign(period, moved));
      this.focus(period);
      this.say(this.words(period));
    } else return;
    event.preventDefault();
  }
}

function place(element, from, to, lane, lanes) {
  element.style.left = `${(from / DAY) * 100}%`;
  element.style.width = `${((to - from) / DAY) * 100}%`;
  element.style.top = `${(lane / lanes) * 100}%`;
  element.style.height = `${100 / lanes}%`;
}

/** Tell whether two periods open the same time on some day, the week going round and dates apart. */
function meet(one, two) {
  if ((one.until && two.since && one.until < two.since) || (two.until && one.since && two.until < one.since)) return false;
  const week = 7 * DAY;
  const from = [one, two].map((period) => (period.day - 1) * DAY + period.opens);
  const to = [one, two].map((period) => (period.day - 1) * DAY + period.closes);
  return [-week, 0, week].some((shift) => from[0] < to[1] + shift && from[1] + shift < to[0]);
}

/** Return how far a period may be moved: it stays in its day, what passes midnight starts there. */
function bounded({ opens, closes }, by) {
  return Math.max(-opens, Math.min(by, closes > DAY ? DAY - STEP - opens : DAY - closes));
}

function clamp(value, least, most) {
  return Math.max(least, Math.min(value, most));
}

function field(name, value) {
  const input = document.createElement("input");
  Object.assign(input, { type: "hidden", name, value });
  return input;
}

function down(at) {
  return Math.floor(at / STEP) * STEP;
}

function near(by) {
  return Math.round(by / STEP) * STEP;
}

function minutes(text) {
  const match = /^(\d{1,2}):(\d\d)$/.exec(text);
  return match ? Number(match[1]) * 60 + Number(match[2]) : null;
}

function clock(at) {
  return `${String(Math.floor(at / 60)).padStart(2, "0")}:${String(at % 60).padStart(2, "0")}`;
}

function span({ opens, closes }) {
  return `${clock(opens)}–${closes > DAY ? `+1 ${clock(closes - DAY)}` : clock(closes)}`;
}

for (const root of document.querySelectorAll("[data-hours]")) new Editor(root);
