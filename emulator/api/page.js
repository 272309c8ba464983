"use strict";
// What containers and callers wrote is only ever set as textContent: never as HTML.

const KEPT_SECONDS = 15 * 60, MOST_REQUESTS = 1000, MOST_SEGMENTS = 2000, MOST_STEPS = 20000, ROWS = 100;
const GUTTER = 52, AXIS = 18, CHART = 54, REFUSED = 20;
const $ = (id) => document.getElementById(id);

// ---- what is known --------------------------------------------------------------------------

let fleet = null;           // all endpoints, and what was called
let story = null;           // of the one that is looked at: the last message, merged
let offset = Infinity;      // of this browser's clock to the endpoint's
let lanes = new Map();      // instance -> {number, segments, gone, why, busy, view}
let requests = [];          // answered, oldest first
let refused = [];           // [time, error] of those that no instance took
let steps = [];             // [time, concurrency]
let counted = [];           // [time, invocations] of the last seconds
let concurrency = 0, seconds = 60, paused = null, selected = null, heard = 0;

const here = () => performance.now() / 1000;
const now = () => (offset === Infinity ? 0 : here() - offset);
const shownNow = () => paused ?? now();

function hear(message, isStory) {
  if (isStory) {
    if (story === null || story.endpoint !== message.endpoint) choose(null);
    [lanes, requests, refused, steps, counted, concurrency, offset] = [new Map(), [], [], [], [], 0, Infinity];
    story = {};
  }
  // The quickest message tells best; clocks that drift or slept are followed.
  const late = here() - message.now;
  offset = late > offset + 2 ? late : Math.min(offset + 1e-4, late);
  Object.assign(story, message);
  message.changes.forEach(change);
  for (const view of message.instances) lane(view.instance).view = view;
  for (const one of message.requests.sort((a, b) => a.arrived + a.seconds - b.arrived - b.seconds)) {
    requests.push(one);
  }
  refused.push(...message.refused);
  if (isStory) counted.push([message.now - 10, story.invocations
    - requests.filter((one) => one.arrived + one.seconds > message.now - 10).length]);
  counted.push([message.now, story.invocations]);
  if (isStory && selected) selected = requests.find((one) => one.request === selected.request) ?? selected;
  trim();
}

function lane(number) {
  if (!lanes.has(number)) lanes.set(number, { number, segments: [], gone: null, why: "", busy: false, view: null });
  return lanes.get(number);
}

function change([at, number, state, request, why]) {
  const mine = lane(number), last = mine.segments.at(-1);
  const busy = request !== null && state !== "gone";
  if (busy !== mine.busy) {
    concurrency += busy ? 1 : -1;
    mine.busy = busy;
    steps.push([at, concurrency]);
  }
  mine.why = why;
  if (last && last.to === Infinity) {
    if (last.state === state && last.request === request) return;
    last.to = at;
  }
  if (state === "gone") mine.gone = at;
  else mine.segments.push({ from: at, to: Infinity, state, request });
}

function trim() {
  const oldest = now() - KEPT_SECONDS;
  if (requests.length > MOST_REQUESTS) requests.splice(0, requests.length - MOST_REQUESTS);
  while (refused.length && refused[0][0] < oldest) refused.shift();
  if (steps.length > MOST_STEPS) story.kept_since = Math.max(story.kept_since, steps.splice(0, MOST_STEPS / 4).at(-1)[0]);
  for (const mine of lanes.values()) {
    const all = mine.segments;
    if (mine.gone !== null && mine.gone < oldest) lanes.delete(mine.number);
    else if (all.length > MOST_SEGMENTS) story.kept_since = Math.max(story.kept_since, all.splice(0, MOST_SEGMENTS / 4).at(-1).to);
  }
}

const isOpen = (segment) => segment.state === "busy" && segment.to === Infinity;
const THROTTLED = "ThrottlingException";
const limited = () => story.about.profile !== "realtime";  // there an instance takes many requests at once, without a limit

// ---- the connection -------------------------------------------------------------------------

const SILENT = 40;          // a heartbeat comes every 15 s

const wish = new URLSearchParams(location.search), wished = (name) => wish.get(name) ?? "";

function connect() {
  const source = new EventSource(`/events${location.search}`);
  const on = (name, act) => source.addEventListener(name, (event) => {
    $("lost").hidden = true;
    heard = here();
    act(JSON.parse(event.data));
    dirty = true;
  });
  on("fleet", (message) => { fleet = message; });
  on("story", (message) => hear(message, true));
  on("news", (message) => hear(message, false));
  on("nothing", () => { story = null; });
  source.onerror = () => {
    lose("connection lost, trying again");
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 2000);
  };
}

function lose(words) {
  set("lost", words);
  $("lost").hidden = false;
}

// ---- words and numbers ----------------------------------------------------------------------

const count = (n) => n.toLocaleString("en");
const ms = (value) => value === null || value === undefined ? "–"
  : value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : count(Math.round(value));
const took = (s) => s === undefined ? "" : s < 1 ? `${ms(s * 1000)} ms` : s < 100 ? `${s.toFixed(2)} s` : span(s);
const mib = (bytes) => bytes ? `${count(Math.round(bytes / 2 ** 20))} MB` : "";
function span(s) {
  s = Math.max(0, Math.floor(s));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
}
const clock = (at) => new Date((story.wall - story.now + at) * 1000).toLocaleTimeString("en-GB");

function set(id, text) {
  const node = $(id);
  if (node.textContent !== text) node.textContent = text;
}

function make(tag, text, classes) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (classes) node.className = classes;
  return node;
}

// Rows that stay are kept, so that focus and selection stay, too. A cell is text or [text, class].
function rows(body, wanted, act) {
  const old = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  let at = body.firstChild;
  for (const { key, cells } of wanted) {
    let row = old.get(key);
    if (row) old.delete(key);
    else {
      row = make("tr");
      row.dataset.key = key;
      cells.forEach((cell, i) => {
        const [, classes] = [].concat(cell), td = make("td", "", classes);
        if (act && act.column === i) {
          const button = make("button", "", "link");
          button.onclick = () => act.click(Number(key));
          if (act.label) button.ariaLabel = `${act.label} ${key}`;
          td.append(button);
        }
        row.append(td);
      });
    }
    cells.forEach((cell, i) => {
      const [text] = [].concat(cell), td = row.cells[i], node = td.firstElementChild ?? td;
      if (node.textContent !== text) node.textContent = text;
    });
    if (row === at) at = at.nextSibling;
    else body.insertBefore(row, at);
  }
  for (const row of old.values()) row.remove();
}

// ---- the parts that are text ----------------------------------------------------------------

let dirty = false, drawnText = 0;

function drawFleet() {
  set("export", "export " + Object.entries(fleet.environment).map(([k, v]) => `${k}=${v}`).join(" "));
  const regions = new Set(fleet.endpoints.map((one) => one.region));
  const entries = fleet.endpoints.flatMap((one) => (one.variants.length > 1 ? one.variants : [""]).map((variant) => ({ ...one, variant })));
  $("list").hidden = entries.length < 2 && !wished("endpoint");
  const old = [...$("list").children];
  entries.forEach((one, i) => {
    const link = old[i] ?? $("list").appendChild(make("a"));
    const to = new URLSearchParams({ endpoint: one.name });
    if (one.variant) to.set("variant", one.variant);
    if (regions.size > 1) to.set("region", one.region);
    const words = one.name + (one.variant && ` / ${one.variant}`) + (regions.size > 1 ? ` (${one.region})` : "");
    const current = story ? story.endpoint === one.name && story.about.region === one.region && (!one.variant || story.about.variant === one.variant)
      : one.name === wished("endpoint");
    if (link.search !== `?${to}`) link.setAttribute("href", `?${to}`);
    if (link.textContent !== `${words} ${one.status}`) link.replaceChildren(`${words} `, make("b", one.status, one.status));
    if (current) link.ariaCurrent = "page"; else link.removeAttribute("aria-current");
  });
  old.slice(entries.length).forEach((link) => link.remove());
  $("calls").hidden = !fleet.calls.length;
  rows($("called"), fleet.calls.map((one, i) => ({
    key: `${one.at} ${i} ${one.operation} ${one.resource}`,
    cells: [new Date(one.at * 1000).toLocaleTimeString("en-GB"), one.operation + (one.by === "api" ? "" : ` (${one.by})`), one.resource, one.refused
      ? [`refused: ${one.code}: ${one.message}${one.change && `\n→ ${one.change}`}`, "bad"]
      : `accepted${one.ignored.length ? `; has no effect: ${one.ignored.join(", ")}` : ""}`],
  })).reverse());
}

// Without an endpoint that runs: it failed, it is gone, or there was none yet.
function drawNothing() {
  const name = wished("endpoint"), one = fleet.endpoints.find((e) => !name || e.name === name);
  document.title = "byoc";
  set("name", one?.name ?? (name || "byoc"));
  set("status", one?.status ?? (name ? "not here" : "waiting for deploy calls"));
  $("status").className = `pill ${one?.status === "Failed" ? "Failed" : "wait"}`;
  set("reason", one?.failure_reason ?? "");
  $("reason").hidden = !one?.failure_reason;
  set("what", one ? `No instance of ${one.name} runs.` : name ? `There is no endpoint ${name}.` : "No endpoint yet.");
  set("todo", one?.status === "Failed" ? `What its containers wrote: aws logs tail /aws/sagemaker/Endpoints/${one.name}`
    : one || name ? "This page shows it as soon as it runs."
    : "Run the line above in the shell of your deploy script, and then the script as it is: boto3, the AWS CLI, the SageMaker SDK, CloudFormation and CDK come here.");
}

function drawText() {
  document.body.classList.toggle("none", !story);
  $("empty").hidden = !!story;
  if (fleet) drawFleet();
  if (!story) return fleet && drawNothing();
  const { about, instances: _, ...s } = story;
  document.title = `${s.endpoint}: ${limited() ? `${s.concurrency} of ${s.max_concurrency}` : s.in_flight} in flight`;
  set("name", s.endpoint);
  set("status", s.status);
  $("status").className = `pill ${s.status === "InService" || s.status === "Failed" ? s.status : "wait"}`;
  $("reason").hidden = !s.failure_reason;
  set("reason", s.failure_reason);
  set("facts", [about.image, about.profile, about.memory_mb && `${about.memory_mb} MB`, `up ${span(now() - about.since)}`].filter(Boolean).join(" · "));
  set("curl", `curl ${location.origin}/endpoints/${s.endpoint}/invocations -H 'Content-Type: application/json' -d '{}'`);

  set("concurrency", limited() ? `${s.concurrency} / ${s.max_concurrency}` : count(s.in_flight));
  const alive = [...lanes.values()].filter((mine) => mine.gone === null && mine.segments.length);
  const states = {};
  for (const mine of alive) { const { state } = mine.segments.at(-1); states[state] = (states[state] ?? 0) + 1; }
  set("states", ["busy", "idle", "frozen", "starting"].filter((k) => states[k]).map((k) => `${states[k]} ${k}`).join(", ")
    || "no instance");
  set("invocations", count(s.invocations));
  set("cold", count(s.cold));
  const served = s.invocations - s.throttles;
  set("share", served ? `${(100 * s.cold / served).toFixed(1)} % of those served` : "");
  set("throttles", count(s.throttles));
  $("throttles").className = s.throttles ? "bad" : "";
  const codes = Object.entries(s.errors), wrong = codes.reduce((sum, [, n]) => sum + n, 0);
  set("errors", count(wrong));
  $("errors").className = wrong ? "bad" : "";
  set("codes", codes.map(([code, n]) => `${code} ${n}`).join(", "));
  while (counted.length > 1 && counted[1][0] < now() - 10) counted.shift();
  const [since, before] = counted[0];
  set("rate", `${((s.invocations - before) / Math.max(1, Math.min(10, now() - since))).toFixed(1)} a second`);
  $("first").hidden = s.invocations > 0 || s.in_flight > 0;
  const ready = !["Creating", "Failed", "Deleting"].includes(s.status);
  $("howto").hidden = !ready;
  set("why", ready ? "No request yet: run this line, with a body that the model takes."
    : s.status === "Creating" ? "No request yet: the first instance must be ready before." : "There was no request.");

  set("measured", s.measured ? `of the last ${count(s.measured)} served` : "");
  rows($("latency"), ["model", "overhead", "total"].map((name) => ({
    key: name, cells: [name, ...["p50", "p90", "p99"].map((p) => [ms(s[name][p]), "n"])],
  })));
  $("cloudwatch").hidden = !s.metrics.length;
  rows($("metrics"), s.metrics.map(([name, unit, statistic, value]) => ({
    key: `${name} ${statistic}`,
    cells: [name, statistic, [value === null ? "–" : value.toLocaleString("en", { maximumFractionDigits: value < 1000 ? 2 : 0 }), "n"], unit],
  })));
  drawRequests();
  drawInstances(alive.sort((a, b) => a.number - b.number));
}

function drawRequests() {
  const which = $("which").value, shown = [];
  for (let i = requests.length - 1; i >= 0 && shown.length < ROWS; i--) {
    const one = requests[i];
    if (which === "all" || (which === "cold" ? one.cold : one.error)) shown.push(one);
  }
  $("none").hidden = shown.length > 0;
  rows($("requests"), shown.map((one) => ({
    key: String(one.request),
    cells: [String(one.request), clock(one.arrived), [took(one.seconds), "n"], [took(one.setup_seconds), "n wide"],
      [mib(one.memory_bytes), "n wide"], [String(one.instance ?? ""), "n"], [one.error ?? "", "bad"]],
  })), { column: 0, click: (key) => choose(requests.find((one) => one.request === key)) });
  for (const row of $("requests").rows) row.setAttribute("aria-selected", row.dataset.key === String(selected?.request));
}

function drawInstances(alive) {
  $("noinstance").hidden = alive.length > 0;
  rows($("instances"), alive.map((mine) => {
    const last = mine.segments.at(-1), view = mine.view ?? {};
    const waits = last.state === "starting" && mine.why ? `: ${mine.why}` : "";
    const limit = story.memory_limit_bytes, used = mib(view.memory_bytes);
    return {
      key: String(mine.number),
      cells: [`${mine.number}${view.provisioned ? " (provisioned)" : ""}`, `${last.state} for ${span(now() - last.from)}${waits}`,
        [count(view.served ?? 0), "n wide"], [used && limit ? `${used} (${Math.round(100 * view.memory_bytes / limit)} %)` : used, "n"],
        [(view.container ?? "").slice(0, 12), "wide mono"], "Log"],
    };
  }), { column: 5, label: "Log of instance", click: (key) => { $("whose").value = String(key); readLog(); $("log").scrollIntoView({ block: "nearest" }); } });
  const known = [...lanes.keys()].sort((a, b) => a - b), options = $("whose").options;
  const chosen = $("whose").value;
  if (chosen && !known.includes(Number(chosen))) known.push(Number(chosen));
  if (known.join() !== [...options].slice(1).map((o) => o.value).join()) {
    $("whose").replaceChildren(options[0], ...known.map((n) => make("option", String(n))));
    $("whose").value = chosen;
  }
}

const WORDS = {
  request: "Request", arrived: "Arrived", seconds: "Duration", model_seconds: "Model latency", setup_seconds: "Setup (cold start)",
  cold: "Cold start", provisioned: "Provisioned", instance: "Instance", status: "Container's status", error: "Error", detail: "Seen",
  sent_bytes: "Bytes sent", received_bytes: "Bytes received", memory_bytes: "Most memory of the instance",
};

function choose(one) {
  selected = one && one !== selected ? one : null;
  const box = $("detail");
  box.hidden = !selected;
  if (selected) {
    const list = make("dl");
    for (const [name, value] of Object.entries(selected)) {
      const text = name === "arrived" ? clock(value) : name.endsWith("seconds") ? took(value)
        : name === "memory_bytes" ? mib(value) : value === true ? "yes" : String(value);
      list.append(make("dt", WORDS[name] ?? name), make("dd", text));
    }
    const close = make("button", "Close");
    close.onclick = () => choose(null);
    box.replaceChildren(list, close);
  }
  dirty = true;
}

// ---- the parts that are drawn ---------------------------------------------------------------

const dark = matchMedia("(prefers-color-scheme: dark)");
let color = {}, hatch = null;

function readColors() {
  const style = getComputedStyle(document.documentElement);
  color = Object.fromEntries(["text", "muted", "line", "soft", "busy", "open", "idle", "frozen", "start", "bad", "card"]
    .map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  const tile = document.createElement("canvas"), pen = tile.getContext("2d");
  tile.width = tile.height = 6;
  pen.strokeStyle = color.start;
  pen.lineWidth = 1.5;
  for (const x of [-6, 0, 6]) { pen.moveTo(x, 6); pen.lineTo(x + 6, 0); }
  pen.stroke();
  hatch = pen.createPattern(tile, "repeat");
}

function sheet(canvas, height) {
  const scale = devicePixelRatio || 1, width = canvas.clientWidth;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.height = `${height}px`;
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = "11px system-ui, sans-serif";
  pen.textBaseline = "middle";
  return { pen, width, height };
}

function axis(width) {
  const end = shownNow(), start = end - seconds, per = (width - GUTTER) / seconds;
  return { start, end, per, x: (t) => GUTTER + (t - start) * per };
}

function grid({ pen, width, height }, { start, end, x }, labels) {
  const step = [5, 10, 15, 30, 60, 120, 180, 300].find((s) => seconds / s <= (width - GUTTER) / 75) ?? 300;
  const wall = story.wall - story.now;
  pen.textAlign = "center";
  for (let t = Math.ceil((start + wall) / step) * step - wall; t <= end; t += step) {
    pen.fillStyle = color.soft;
    pen.fillRect(Math.round(x(t)), labels ? AXIS : 0, 1, height);
    if (!labels || x(t) < GUTTER + 24 || x(t) > width - 24) continue;
    pen.fillStyle = color.muted;
    pen.fillText(clock(t + 0.001), x(t), AXIS / 2);
  }
  const unknown = x(story.kept_since) - GUTTER, top = labels ? AXIS : 0;
  if (unknown <= 0) return;
  pen.fillStyle = color.soft;
  pen.fillRect(GUTTER, top, Math.min(unknown, width - GUTTER), height - top);
  pen.fillStyle = color.muted;
  if (labels && unknown > 110) pen.fillText(story.kept_since > story.about.since ? "no record" : "before its start", GUTTER + Math.min(unknown, width - GUTTER) / 2, AXIS + CHART / 2);
}

function drawHead() {
  const paper = sheet($("head"), AXIS + CHART + REFUSED), { pen } = paper;
  const width = paper.width = $("time").clientWidth, to = axis(width);  // a scroll bar takes from the lanes only
  grid(paper, to, true);
  const most = Math.max(story.max_concurrency, concurrency), base = AXIS + CHART, unit = (CHART - 8) / most;
  // One column per pixel, with the most that was there.
  const columns = new Float64Array(Math.max(1, Math.ceil(width - GUTTER)));
  const known = Math.max(to.start, story.kept_since);
  let level = 0, from = known;
  const fill = (until, n) => {
    const a = Math.max(0, Math.floor((from - to.start) * to.per)), b = Math.min(columns.length - 1, Math.floor((until - to.start) * to.per));
    for (let i = a; i <= b; i++) if (columns[i] < n) columns[i] = n;
  };
  for (const [at, n] of steps) {
    if (at > to.end) break;
    if (at > known) { fill(at, level); from = at; }
    level = n;
  }
  if (known < to.end) fill(to.end, level);
  pen.beginPath();
  pen.moveTo(GUTTER, base);
  columns.forEach((n, i) => { pen.lineTo(GUTTER + i, base - n * unit); pen.lineTo(GUTTER + i + 1, base - n * unit); });
  pen.strokeStyle = color.busy;
  pen.stroke();
  pen.lineTo(GUTTER + columns.length, base);
  pen.fillStyle = color.open;
  pen.globalAlpha = 0.35;
  pen.fill();
  pen.globalAlpha = 1;
  pen.fillStyle = color.line;
  pen.fillRect(GUTTER, base, width - GUTTER, 1);
  pen.strokeStyle = limited() ? color.bad : color.line;
  pen.setLineDash([4, 3]);
  pen.beginPath();
  pen.moveTo(GUTTER, base - story.max_concurrency * unit + 0.5);
  pen.lineTo(width, base - story.max_concurrency * unit + 0.5);
  pen.stroke();
  pen.setLineDash([]);
  pen.textAlign = "right";
  pen.fillStyle = color.muted;
  pen.fillText(String(story.max_concurrency), GUTTER - 6, base - story.max_concurrency * unit);
  pen.fillText("0", GUTTER - 6, base - 4);
  const middle = base + REFUSED / 2;
  pen.fillText("refused", GUTTER - 4, middle + 1);
  pen.fillStyle = pen.strokeStyle = color.bad;
  for (const [at, error] of refused) {
    const x = Math.round(to.x(at));
    if (x < GUTTER || x > width) continue;
    if (error === THROTTLED) pen.fillRect(x, base + 5, 2, REFUSED - 8);
    else { pen.beginPath(); pen.arc(x, middle + 1, 3.5, 0, 7); pen.stroke(); }
  }
}

let shown = [], laneHeight = 22, places = new Map();

function drawLanes() {
  const view = $("lanes"), canvas = $("time");
  const start = shownNow() - seconds;
  shown = [...lanes.values()].filter((mine) => mine.segments.length && mine.segments[0].from <= shownNow()
    && (mine.gone === null || mine.gone > start)).sort((a, b) => a.number - b.number);
  laneHeight = shown.length <= 14 ? 24 : shown.length <= 40 ? 16 : 10;
  const whole = Math.max(shown.length * laneHeight, 24);
  $("spacer").style.height = `${whole}px`;
  const paper = sheet(canvas, Math.min(whole, 380)), { pen, width, height } = paper, to = axis(width);
  grid(paper, to, false);
  const top = view.scrollTop, first = Math.floor(top / laneHeight), until = Math.ceil((top + height) / laneHeight);
  const pad = laneHeight > 12 ? 3 : 1, bar = laneHeight - 2 * pad;
  places = new Map();
  shown.slice(first, until).forEach((mine, i) => {
    const y = (first + i) * laneHeight - top;
    places.set(mine.number, y);
    pen.textAlign = "right";
    pen.fillStyle = color.muted;
    if (laneHeight > 12 || mine.number % 5 === 0) pen.fillText(String(mine.number), GUTTER - 6, y + laneHeight / 2);
    let reach = -1;
    for (const segment of mine.segments) {
      if (segment.to < to.start) continue;
      if (segment.from > to.end) break;
      const a = Math.max(GUTTER, to.x(segment.from)), b = Math.min(width, to.x(Math.min(segment.to, to.end)));
      if (b <= reach) continue;
      reach = b;
      if (segment.state === "starting") {
        pen.fillStyle = hatch;
        pen.fillRect(a, y + pad, b - a, bar);
        pen.strokeStyle = color.start;
        pen.strokeRect(a + 0.5, y + pad + 0.5, Math.max(0, b - a - 1), bar - 1);
      } else if (segment.state === "busy") {
        pen.fillStyle = isOpen(segment) ? color.open : color.busy;
        pen.fillRect(a, y + pad, Math.max(1.5, b - a), bar);
      } else {
        pen.fillStyle = color[segment.state] ?? color.idle;
        pen.fillRect(a, y + laneHeight / 2 - bar / 4, b - a, bar / 2);
      }
    }
    if (mine.gone !== null && mine.gone <= to.end) {
      pen.fillStyle = color.muted;
      pen.fillRect(to.x(mine.gone) - 1, y + pad, 2, bar);
    }
  });
  for (const one of requests) {
    const y = places.get(one.instance), end = one.arrived + one.seconds;
    if (y === undefined || end < to.start || one.arrived > to.end) continue;
    const setup = one.setup_seconds ?? 0, from = Math.max(GUTTER, to.x(one.arrived + setup)), w = Math.max(2, to.x(end) - from);
    pen.fillStyle = one.error ? color.bad : color.busy;
    pen.fillRect(from, y + pad, w, bar);
    if (w > 4) { pen.fillStyle = color.card; pen.fillRect(from, y + pad, 1, bar); }
    if (one.cold && to.x(one.arrived + setup) >= GUTTER) {
      pen.fillStyle = color.start;
      pen.beginPath();
      pen.moveTo(from - 5, y); pen.lineTo(from + 5, y); pen.lineTo(from, y + 7);
      pen.fill();
    }
    if (one === selected) {
      pen.strokeStyle = color.text;
      pen.lineWidth = 2;
      pen.strokeRect(from - 1, y + pad - 1, w + 2, bar + 2);
      pen.lineWidth = 1;
    }
  }
}

function drawDots() {
  const shown = requests.filter((one) => one.instance !== undefined).slice(-200);
  const { pen, width, height } = sheet($("dots"), !shown.length ? 32 : innerWidth > 1000 ? 240 : 180);
  if (!shown.length) {
    pen.fillStyle = color.muted;
    pen.fillText("Nothing was served yet.", 0, 18);
    return;
  }
  const values = shown.map((one) => Math.max(0.1, one.seconds * 1000));
  const low = Math.floor(Math.log10(Math.min(...values))), high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))));
  const y = (value) => height - 10 - (Math.log10(value) - low) / (high - low) * (height - 22);
  pen.textAlign = "right";
  for (let e = low; e <= high; e++) {
    pen.fillStyle = color.soft;
    pen.fillRect(GUTTER, Math.round(y(10 ** e)), width - GUTTER, 1);
    pen.fillStyle = color.muted;
    pen.fillText(e < 3 ? `${10 ** e} ms` : `${10 ** (e - 3)} s`, GUTTER - 6, y(10 ** e));
  }
  shown.forEach((one, i) => {
    pen.fillStyle = one.error ? color.bad : one.cold ? color.start : color.busy;
    const x = GUTTER + 6 + i * (width - GUTTER - 12) / Math.max(1, shown.length - 1);
    pen.beginPath();
    pen.arc(x, y(values[i]), one.cold || one.error ? 3.5 : 2.2, 0, 7);
    pen.fill();
  });
}

function describe() {
  const end = shownNow(), start = end - seconds, within = (one) => one.arrived + one.seconds >= start && one.arrived <= end;
  const served = requests.filter((one) => one.instance !== undefined && within(one));
  const words = `${shown.length} instances, ${served.length} requests, ${served.filter((one) => one.cold).length} cold starts, `
    + `${requests.filter((one) => one.error === THROTTLED && within(one)).length} throttles, ${requests.filter((one) => one.error
    && one.error !== THROTTLED && within(one)).length} errors in ${seconds / 60} min. Arrow keys go through the requests.`;
  if ($("time").getAttribute("aria-label") !== words) $("time").setAttribute("aria-label", words);
}

// ---- pointing at things ---------------------------------------------------------------------

function tell(text, x, y) {
  const tip = $("tip"), box = tip.parentElement;
  tip.hidden = !text;
  if (!text) return;
  if (tip.textContent !== text) tip.textContent = text;
  tip.style.left = `${Math.max(4, Math.min(x + 12, box.clientWidth - tip.offsetWidth - 4))}px`;
  tip.style.top = `${y + 16}px`;
}

function wordsOf(one) {
  const parts = [`request ${one.request}: ${took(one.seconds)}`, `model ${took(one.model_seconds ?? 0)}`];
  if (one.cold) parts.push(`cold start ${took(one.setup_seconds ?? 0)}`);
  if (one.memory_bytes) parts.push(`memory ${mib(one.memory_bytes)}`);
  if (one.error) parts.push(one.error);
  if (one.detail) parts.push(one.detail.slice(0, 200));
  return `${clock(one.arrived)}  ${parts.join("\n")}`;
}

function under(event) {
  const canvas = $("time"), box = canvas.getBoundingClientRect(), to = axis(canvas.clientWidth);
  const x = event.clientX - box.left, mine = shown[Math.floor((event.clientY - box.top + $("lanes").scrollTop) / laneHeight)];
  if (!mine || x < GUTTER) return {};
  const at = to.start + (x - GUTTER) / to.per, near = 3 / to.per;
  const one = requests.findLast((r) => r.instance === mine.number && r.arrived - near <= at && at <= r.arrived + r.seconds + near);
  return { mine, at, one, segment: mine.segments.findLast((s) => s.from <= at && at < s.to) };
}

function point(event) {
  const { mine, one, segment } = under(event), box = $("tip").parentElement.getBoundingClientRect();
  const words = one ? wordsOf(one) : segment ? `instance ${mine.number}: ${segment.state} for `
    + took((segment.to === Infinity ? shownNow() : segment.to) - segment.from) + (segment.request === null ? "" : `\nrequest ${segment.request}`)
    : mine && mine.gone !== null ? `instance ${mine.number} is gone: ${mine.why}` : "";
  tell(words, event.clientX - box.left, event.clientY - box.top);
}

function pointAtSelected() {
  if (!selected) return tell("");
  const row = shown.findIndex((mine) => mine.number === selected.instance);
  if (row < 0) return tell(wordsOf(selected), GUTTER, $("head").offsetTop + AXIS + CHART);
  const view = $("lanes");
  if (row * laneHeight < view.scrollTop || (row + 1) * laneHeight > view.scrollTop + view.clientHeight) view.scrollTop = row * laneHeight - 100;
  tell(wordsOf(selected), axis($("time").clientWidth).x(selected.arrived), view.offsetTop + (row + 1) * laneHeight - view.scrollTop - 10);
}

$("time").onpointermove = point;
$("time").onpointerdown = point;
$("time").onpointerleave = () => tell("");
$("time").onclick = (event) => { const { one } = under(event); if (one) choose(one); };
$("time").onblur = () => tell("");
$("time").onkeydown = (event) => {
  const move = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
  if (event.key === "Escape") { choose(null); tell(""); return; }
  if (move === undefined || !requests.length) return;
  event.preventDefault();
  const at = selected ? requests.indexOf(selected) : requests.length;
  const next = requests[Math.max(0, Math.min(requests.length - 1, at + move))];
  if (next !== selected) choose(next);
  draw();
  pointAtSelected();
};
$("lanes").onscroll = () => { tell(""); wanted = true; };

$("window").onclick = (event) => {
  if (!event.target.dataset.minutes) return;
  seconds = 60 * event.target.dataset.minutes;
  for (const button of $("window").children) button.setAttribute("aria-pressed", button === event.target);
  wanted = true;
};
$("pause").onclick = () => {
  paused = paused === null ? now() : null;
  $("pause").setAttribute("aria-pressed", paused !== null);
  $("pause").textContent = paused === null ? "Pause" : "Follow now";
  wanted = true;
};
$("which").onchange = () => { dirty = true; };
for (const button of document.querySelectorAll("[data-copy]")) {
  button.onclick = async () => {
    try { await navigator.clipboard.writeText($(button.dataset.copy).textContent); button.textContent = "Copied"; } catch {
      getSelection().selectAllChildren($(button.dataset.copy));
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  };
}

// ---- the log --------------------------------------------------------------------------------

async function readLog() {
  const number = $("whose").value, pane = $("log");
  if (!number || !story) return;
  let text;
  try {
    const { endpoint, about: { region, variant } } = story;
    const answer = await fetch(`/logs?${new URLSearchParams({ instance: number, endpoint, region, variant })}`);
    text = await answer.text();
    if (answer.ok && !text) text = "It has printed nothing.";
  } catch { return; }
  if (number !== $("whose").value || pane.textContent === text) return;
  const follow = pane.scrollHeight - pane.scrollTop - pane.clientHeight < 30;
  pane.textContent = text;
  if (follow) pane.scrollTop = pane.scrollHeight;
}
$("whose").onchange = readLog;
setInterval(() => { if (!document.hidden) readLog(); }, 2000);

// ---- the loop -------------------------------------------------------------------------------

let wanted = true, drawnAt = 0, cost = 0;

function draw() {
  drawHead();
  drawLanes();
  drawDots();
}

function frame(time) {
  requestAnimationFrame(frame);
  // As often as a pixel of time goes by, and never for more than a fifth of the time.
  const pause = Math.max(60, 5 * cost, seconds * 1000 / Math.max(300, $("time").clientWidth));
  const due = dirty || wanted || paused === null;
  if (story && due && (time - drawnAt > pause || wanted)) {
    const began = performance.now();
    draw();
    wanted = false;
    drawnAt = time;
    cost = performance.now() - began;
  }
  if (time - drawnText > (dirty ? 250 : 1000)) {
    dirty = false;
    drawnText = time;
    drawText();
    if (story) describe();
    if (heard && here() - heard > SILENT) lose("no sign of life");
  }
}

readColors();
dark.addEventListener("change", () => { readColors(); wanted = true; });
addEventListener("resize", () => { wanted = true; });
connect();
requestAnimationFrame(frame);
