// ---- Player: where the replay stands, and what moves it.
//
//   time       in the run; between events too
//   position   of the event that happened last, among those that the filter keeps
//   hooks      who else wants to know: a kernel

const WHOLE_MS = 12000;                  // for the whole run, at speed 1
const WORDS_MS = 120;                    // between two changes of words while it plays
const STEP_MS = 700;                     // between two events, for those who want no motion

class Player {
  constructor(root, data, changed = () => {}) {
    Object.assign(this, { root, changed, run: decode(data), filter: {}, speed: 1,
      playing: false, position: -1, said: 0, seen: 0 });
    [this.first, this.last] = this.run.window;
    this.time = this.first;
    this.selection = select(this.run, {});
    this.all = this.selection.rows.length;
    this.build(data);
    this.diagram.choose(this.selection);
    this.settle();
  }

  // -- The page.

  build(data) {
    const canvas = make("canvas", { role: "img", "aria-label": data.alt });
    this.stage = make("div", { class: "stage", tabindex: 0, role: "application",
      "aria-label": `Diagram of the run. ${KEYS}` }, canvas);
    this.stage.style.height = `${data.lanes_px + AXIS + 2 * BAND}px`;
    this.diagram = new Diagram(canvas, this.run);
    this.parts = [transport(this), now(this), ...(this.run.messages.n ? [network(this)] : []),
      filters(this), states(this), eventTable(this)];
    const [moves, ...others] = this.parts.map(part => part.node);
    this.root.replaceChildren(make("div", { class: "title", role: "heading", "aria-level": 3 },
      data.title), ...(data.notice ? [make("p", { class: "notice", role: "note" }, data.notice)]
      : []), this.stage, moves, ...others, make("p", { class: "quiet keys" }, KEYS));
    this.root.setAttribute("role", "region");
    this.root.setAttribute("aria-label", data.title);
    this.root.dataset.lmSuppressShortcuts = "true";          // JupyterLab's
    this.root.addEventListener("keydown", event => this.key(event));
    this.listenToPointer(canvas);
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(this.stage);
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
  }

  resize() {
    const { clientWidth, clientHeight } = this.stage;
    if (clientWidth < 1) return;
    this.diagram.resize(clientWidth, clientHeight);
    this.diagram.recolour(this.root);
    this.refresh();
  }

  setTheme(theme) {
    this.root.dataset.theme = theme;
    this.diagram.recolour(this.root);
    this.refresh();
  }

  // Draw with the next frame; say it in words then too, or a little later.
  refresh() {
    this.wanted ??= requestAnimationFrame(at => {
      this.wanted = null;
      if (this.playing) this.advance(at);
      if (this.diagram.width) this.diagram.draw();
      for (const part of this.parts) part.draw?.();
      if (!this.playing || at - this.said > WORDS_MS) {
        this.said = at;
        for (const part of this.parts) part.update();
        this.changed(this);
      }
      if (this.playing) this.refresh();
    });
  }

  // -- Time.

  get rate() {                            // nanoseconds of the run in a second
    return (this.last - this.first) * this.speed / WHOLE_MS * 1000;
  }

  get row() {
    return this.position < 0 ? -1 : this.selection.rows[this.position];
  }

  setTime(time) {
    this.time = Math.min(Math.max(time, this.first), this.last);
    this.position = countUpTo(this.selection.times, this.time) - 1;
    this.settle();
  }

  settle(look = true) {
    this.diagram.time = this.time;
    this.diagram.row = this.row;
    if (look) this.diagram.reveal(this.time);
    this.refresh();
  }

  scrub(share) {
    this.setTime(this.first + share * (this.last - this.first));
  }

  goTo(position) {
    this.position = Math.min(Math.max(position, -1), this.selection.rows.length - 1);
    this.time = this.position < 0 ? this.first : this.selection.times[this.position];
    this.settle();
  }

  step(by) {
    this.pause();
    const between = this.position >= 0 && this.time > this.selection.times[this.position];
    this.goTo(this.position + by + (by < 0 && between ? 1 : 0));
  }

  toStart() {
    this.pause();
    this.goTo(-1);
  }

  toEnd() {
    this.pause();
    this.setTime(this.last);
  }

  // -- Playing.

  toggle() {
    if (this.playing) this.pause(); else this.play();
  }

  play() {
    if (this.time >= this.last) this.goTo(-1);
    this.playing = true;
    this.seen = null;
    this.said = 0;                        // say at once that it plays
    this.refresh();
  }

  pause() {
    this.playing = false;
    this.refresh();
  }

  advance(at) {
    const passed = at - (this.seen ?? at);
    this.seen ??= at;
    if (this.calm.matches) {              // event by event, without motion
      if (passed < STEP_MS / this.speed) return;
      this.seen = at;
      if (this.position + 1 >= this.selection.rows.length) this.pause();
      else this.goTo(this.position + 1);
      return;
    }
    this.seen = at;
    this.setTime(this.time + passed * this.rate / 1000);
    if (this.time >= this.last) this.pause();
  }

  setSpeed(speed) {
    this.speed = speed;
    this.refresh();
  }

  // -- What is shown.

  zoom(factor, around) {
    this.diagram.zoom(factor, around);
    this.refresh();
  }

  pan(share) {
    this.diagram.pan(share);
    this.refresh();
  }

  showAll() {
    this.diagram.show(this.first, this.last);
    this.refresh();
  }

  setFilter(filter) {
    this.filter = filter;
    this.selection = select(this.run, filter);
    this.diagram.choose(this.selection);
    this.setTime(this.time);
  }

  select(row) {
    const position = this.selection.rows.indexOf(row);
    if (position >= 0) this.goTo(position);
  }

  // -- Keyboard and pointer.

  key(event) {
    const { target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.matches("input[type=text], select")) return;
    if (event.key === " " && target.matches("button, summary, input")) return;
    if (target.matches(".scroll") && event.key !== " ") return;       // they scroll it
    const earlier = event.shiftKey ? () => this.pan(-0.25) : () => this.step(-1);
    const later = event.shiftKey ? () => this.pan(0.25) : () => this.step(1);
    const act = { " ": () => this.toggle(), ArrowLeft: earlier, ArrowRight: later,
      Home: () => this.toStart(), End: () => this.toEnd(), "+": () => this.zoom(2),
      "=": () => this.zoom(2), "-": () => this.zoom(1 / 2) }[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  listenToPointer(canvas) {
    let down = null;
    canvas.addEventListener("pointerdown", event => {
      down = { x: event.offsetX, from: this.diagram.from, to: this.diagram.to, moved: false };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", event => {
      if (!down) return;
      const by = down.x - event.offsetX;
      if (Math.abs(by) < 4 && !down.moved) return;
      down.moved = true;
      const shift = by / (this.diagram.width - LEFT - RIGHT) * (down.to - down.from);
      this.diagram.show(down.from + shift, down.to + shift);
      this.refresh();
    });
    canvas.addEventListener("pointerup", event => {
      if (down && !down.moved) this.click(event.offsetX, event.offsetY);
      down = null;
    });
    canvas.addEventListener("pointercancel", () => { down = null; });
    canvas.addEventListener("wheel", event => {
      if (!event.ctrlKey && !event.metaKey) return;           // a page scrolls without
      event.preventDefault();
      this.zoom(2 ** (-event.deltaY / 200), this.diagram.timeAt(event.offsetX));
    }, { passive: false });
  }

  click(x, y) {
    const row = this.diagram.rowAt(x, y);
    this.pause();
    if (row >= 0) this.select(row); else this.setTime(this.diagram.timeAt(x));
  }
}

// ---- As a page, perhaps in a frame.

function startPage(page) {
  const root = page.querySelector(".labkit-replay");
  const data = JSON.parse(page.querySelector(".labkit-replay-data").textContent);
  const player = root.player = new Player(root, data);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let told;                               // the theme of the page around, if it has one
  const paint = () => {
    player.setTheme(told || (dark.matches ? "dark" : "light"));
    page.documentElement.style.background = getComputedStyle(root).backgroundColor;
  };
  const tell = () => parent.postMessage({ labkit: "height",
    height: Math.ceil(root.getBoundingClientRect().height) }, "*");
  dark.addEventListener("change", paint);
  addEventListener("message", event => {
    if (event.source !== parent || event.data.labkit !== "theme") return;
    told = event.data.theme;
    paint();
    tell();
  });
  paint();
  if (parent !== window) new ResizeObserver(tell).observe(root);
}

// ---- As a widget: the kernel sees, and leads.

function render({ model, el }) {
  const root = make("div", { class: "labkit-replay" });
  el.append(root);
  const player = root.player = new Player(root, model.get("data"), () => {
    const state = { time_s: player.time / 1e9, selected: player.row, playing: player.playing,
      filter: player.filter };
    for (const [name, value] of Object.entries(state)) {
      if (JSON.stringify(model.get(name)) !== JSON.stringify(value)) model.set(name, value);
    }
    model.save_changes();
  });
  const heard = {
    time_s: value => { if (value !== player.time / 1e9) player.setTime(value * 1e9); },
    selected: value => { if (value !== player.row && value >= 0) player.select(value); },
    playing: value => { if (value !== player.playing) player.toggle(); },
    filter: value => {
      if (JSON.stringify(value) !== JSON.stringify(player.filter)) player.setFilter(value);
    },
  };
  for (const [name, hear] of Object.entries(heard)) {
    hear(model.get(name));
    model.on(`change:${name}`, () => hear(model.get(name)));
  }
  const { body } = document;
  const paint = () => player.setTheme(body.dataset.jpThemeLight === "false" ? "dark" : "light");
  const themes = new MutationObserver(paint);
  themes.observe(body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  paint();
  return () => {
    player.pause();
    player.sizes.disconnect();
    themes.disconnect();
  };
}

export default { render };
