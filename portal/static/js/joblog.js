// A job's log as it grows. The page already holds the log so far; this appends what comes.
//
// <section class="log" data-log data-stream="…" data-poll="…" data-after="1234"> with <pre>, [data-follow] and
// [data-line] inside; #job-state names in data-url where the page's [data-part]s are had anew; #job-say is the one
// polite live region and says changes of state only, never the running clock.
// Stream events: `log` (data: JSON string, id: offset after it), `state` (anything changed), `end`.
// Poll: GET data-poll?after=N → {"text": "…", "after": N, "state": "…", "ended": false}.

const KEEP = 400_000; // characters kept on the page; the whole log stays one click away
const POLL_MS = 3000;
const PATIENCE_MS = 8000;
const CLOCK_MS = 10_000; // how often the running clock and cost are brought up to date

class Log {
  constructor(root) {
    this.root = root;
    this.pre = root.querySelector("pre");
    this.follow = root.querySelector("[data-follow]");
    this.after = root.dataset.after || "0";
    this.region = document.getElementById("job-state");
    this.say = document.getElementById("job-say");
    this.state = this.badge();
    this.pre.addEventListener("scroll", () => { this.follow.checked = this.atEnd(); }, { passive: true });
    this.follow.addEventListener("change", () => this.scroll());
    this.scroll();
    if (root.dataset.ended) return;
    this.clock = setInterval(() => document.hidden || this.refresh(), CLOCK_MS);
    if (window.EventSource) this.listen();
    else this.poll();
  }

  atEnd() {
    return this.pre.scrollHeight - this.pre.scrollTop - this.pre.clientHeight < 24;
  }

  scroll() {
    if (this.follow.checked) this.pre.scrollTop = this.pre.scrollHeight;
  }

  line(name) {
    for (const text of this.root.querySelectorAll("[data-line]")) text.hidden = text.dataset.line !== name;
  }

  append(text) {
    if (!text) return;
    this.pre.append(text);
    const length = this.pre.textContent.length;
    if (length > KEEP * 1.25) {
      const kept = this.pre.textContent.slice(-KEEP);
      this.pre.textContent = kept.slice(kept.indexOf("\n") + 1);
    } else if (this.pre.childNodes.length > 200) this.pre.normalize();
    this.scroll();
  }

  badge() {
    return this.region?.querySelector(".badge")?.textContent.trim() ?? "";
  }

  async refresh() {
    if (!this.region) return;
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const answer = await fetch(this.region.dataset.url, { headers: { "HX-Request": "true" } }).catch(() => null);
    if (!answer?.ok) return;
    const news = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (turn !== this.turn) return; // a later question was asked meanwhile: its answer is the newer one
    for (const part of news.querySelectorAll("[data-part]")) {
      const old = document.querySelector(`main [data-part="${part.dataset.part}"]`);
      if (old && old.innerHTML.trim() !== part.innerHTML.trim()) this.put(old, part);
    }
    const state = this.badge();
    if (this.say && state !== this.state) this.say.textContent = state;
    this.state = state;
  }

  // Whoever stands on a link in the part stays there, or at least on the part.
  put(old, part) {
    const held = old.contains(document.activeElement) ? document.activeElement : null;
    old.replaceChildren(...part.childNodes);
    if (!held) return;
    const same = held.id ? document.getElementById(held.id) : old.querySelector(`[href="${held.getAttribute("href")}"]`);
    if (!same) old.tabIndex = -1;
    (same ?? old).focus({ preventScroll: true });
  }

  end() {
    clearInterval(this.clock);
    this.line("ended");
    this.refresh();
  }

  listen() {
    const url = new URL(this.root.dataset.stream, window.location.href);
    url.searchParams.set("after", this.after);
    const source = new EventSource(url);
    const giveUp = () => {
      source.close();
      this.poll();
    };
    const patience = setTimeout(giveUp, PATIENCE_MS);
    source.addEventListener("open", () => {
      clearTimeout(patience);
      this.line("live");
    });
    source.addEventListener("log", (event) => {
      this.after = event.lastEventId || this.after;
      this.append(JSON.parse(event.data));
    });
    source.addEventListener("state", () => this.refresh());
    source.addEventListener("end", () => {
      source.close();
      this.end();
    });
    source.addEventListener("error", () => {
      this.line("lost");
      if (source.readyState !== EventSource.CLOSED) return; // the browser reconnects with Last-Event-ID
      clearTimeout(patience);
      this.poll();
    });
    window.addEventListener("pagehide", () => source.close(), { once: true });
    window.addEventListener("pageshow", (event) => event.persisted && this.listen(), { once: true });
  }

  async poll() {
    let ended = false;
    let state = "";
    try {
      const url = new URL(this.root.dataset.poll, window.location.href);
      url.searchParams.set("after", this.after);
      const answer = await fetch(url, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(String(answer.status));
      const news = await answer.json();
      this.after = String(news.after);
      this.append(news.text);
      ({ ended, state } = news);
      this.line("live");
    } catch {
      this.line("lost");
    }
    if (ended) {
      this.end();
      return;
    }
    if (state !== this.polled) this.refresh();
    this.polled = state;
    setTimeout(() => this.poll(), POLL_MS);
  }
}

for (const root of document.querySelectorAll("[data-log]")) new Log(root);
