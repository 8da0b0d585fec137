// The console asks the same routes as everybody; it has nothing of its own on the server.

import { drawMap } from "/map.js";

const $ = (id) => document.getElementById(id);
const POLL = 2000;

// --- asking ------------------------------------------------------------------------------------------------------

// Integers that a JavaScript number cannot hold stay the text they were: the service takes ids as text, too.
const exact = (_, value, context) =>
  Number.isInteger(value) && !Number.isSafeInteger(value) && context ? context.source : value;

async function ask(path, body) {
  const headers = {};
  const token = sessionStorage.getItem("token");
  if (token) headers.authorization = `Bearer ${token}`;
  if (body) headers["content-type"] = "application/json";
  const options = { headers, method: body ? "POST" : "GET", body: body && JSON.stringify(body) };
  const answer = await fetch(path, options);
  if (answer.status === 401) $("token-form").hidden = false;
  const text = await answer.text();
  if (!answer.ok) throw new Error(JSON.parse(text).error);
  return path === "/metrics" ? text : JSON.parse(text, exact);
}

// Runs what a person asked for, and tells what went wrong.
function trying(act) {
  return async (event) => {
    event?.preventDefault?.();
    $("problem").hidden = true;
    try {
      await act(event);
    } catch (error) {
      $("problem").textContent = error.message;
      $("problem").hidden = false;
    }
  };
}

// --- lists of items ----------------------------------------------------------------------------------------------

const nameOf = (id, attributes) => attributes?.title ?? String(id);

function make(tag, text, options = {}) {
  const element = Object.assign(document.createElement(tag), options);
  if (text !== undefined) element.textContent = text;
  return element;
}

// A column of items: `others`, where given, are the ids of a column beside; what these lack is marked.
function column(title, items, others) {
  const box = make("div");
  const list = make("ol");
  box.append(make("h3", title), list);
  for (const { id, attributes, score } of items) {
    const button = make("button", undefined, { type: "button", onclick: trying(() => showSimilar(id, attributes)) });
    button.append(make("span", nameOf(id, attributes)));
    if (score !== undefined) button.append(make("span", score.toFixed(3), { className: "score" }));
    if (others && !others.has(String(id))) {
      button.classList.add("only");
      button.title = "only in this list";
    }
    const entry = make("li");
    entry.append(button);
    list.append(entry);
  }
  if (!items.length) box.append(make("p", "nothing"));
  return box;
}

const itemsOf = ({ ids, scores, attributes }) =>
  ids.map((id, i) => ({ id, score: scores?.[i], attributes: attributes?.[i] }));
const idsOf = (items) => new Set(items.map(({ id }) => String(id)));

// --- a user ------------------------------------------------------------------------------------------------------

async function showUser() {
  const user = $("user").value.trim();
  const asked = { user_ids: [user], k: Number($("k").value), attributes: true };
  const beside = $("beside").value;
  const [known, found, best, other] = await Promise.all([
    ask(`/v1/users/${encodeURIComponent(user)}`),
    ask("/v1/recall", asked),
    ask("/v1/recall", { ...asked, exact: true }),
    beside && ask("/v1/recall", { ...asked, version: Number(beside) }),
  ]);
  const [recalled, exactly] = [found, best].map((answer) => itemsOf(answer.results[0]));
  const { source } = found.results[0];
  const same = [...idsOf(exactly)].filter((id) => idsOf(recalled).has(id)).length;
  const about = Object.entries(known.attributes).map(([name, value]) => `${name} ${value}`);
  const judged = source === "popular" ? "no vector: popular items" : `index and exact agree on ${same} of ${exactly.length}`;
  $("user-about").textContent = [
    `${known.n_seen} items seen`, ...about, `source ${source}`, judged, `${found.microseconds} µs`,
  ].join(" · ");
  const history = known.seen.map((id, i) => ({ id, attributes: known.titles[i] }));
  const columns = [column("Seen", history.slice(0, 15))];
  if (other) {
    const there = itemsOf(other.results[0]);
    columns.push(column(`Version ${found.version}`, recalled, idsOf(there)));
    columns.push(column(`Version ${other.version}`, there, idsOf(recalled)));
  } else {
    columns.push(column("Recalled", recalled));
  }
  $("user-lists").replaceChildren(...columns);
}

async function listVersions() {
  const { versions } = await ask("/v1/versions");
  const chosen = $("beside").value;
  const options = versions.map((v) => make("option", `${v.number}${v.current ? " (served)" : ""}`, { value: v.number }));
  $("beside").replaceChildren(make("option", "none", { value: "" }), ...options);
  $("beside").value = versions.some((v) => String(v.number) === chosen) ? chosen : "";
}

// --- a new user --------------------------------------------------------------------------------------------------

const chosen = new Map();

function chip(item, act) {
  const entry = make("li");
  entry.append(make("button", nameOf(item.id, item.attributes), { type: "button", onclick: trying(() => act(item)) }));
  return entry;
}

async function findItems() {
  const { items } = await ask(`/v1/items?k=12&text=${encodeURIComponent($("find").value)}`);
  $("found").replaceChildren(...items.map((item) => chip(item, choose)));
  if (!items.length) $("found").append(make("li", "nothing found"));
}

async function choose(item) {
  chosen.set(String(item.id), item);
  await showNew();
}

async function unchoose(item) {
  chosen.delete(String(item.id));
  await showNew();
}

async function showNew() {
  $("chosen").replaceChildren(...[...chosen.values()].map((item) => chip(item, unchoose)));
  if (!chosen.size) return $("new-lists").replaceChildren();
  const ids = [...chosen.values()].map((item) => item.id);
  const found = await ask("/v1/recall", { items: [ids], k: Number($("k").value), attributes: true });
  $("new-lists").replaceChildren(column(`Would get (${found.results[0].source})`, itemsOf(found.results[0])));
}

// --- similar items -----------------------------------------------------------------------------------------------

async function showSimilar(id, attributes) {
  const found = await ask(`/v1/items/${encodeURIComponent(id)}/similar?k=10&attributes=true`);
  const told = Object.entries(attributes ?? {}).filter(([name, value]) => name !== "title" && value !== null);
  $("similar-about").textContent = told.map(([name, value]) => `${name} ${value}`).join(" · ");
  $("similar-lists").replaceChildren(column(`Like ${nameOf(id, attributes)}`, itemsOf(found)));
  $("similar-title").scrollIntoView({ block: "nearest" });
}

// --- map ---------------------------------------------------------------------------------------------------------

async function showMap(attribute) {
  const found = await ask(`/v1/map${attribute ? `?attribute=${encodeURIComponent(attribute)}` : ""}`);
  $("attribute").replaceChildren(...found.attributes.map((name) => make("option", name, { value: name })));
  $("attribute").value = found.attribute ?? "";
  $("map-form").hidden = !found.attributes.length;
  const tell = (point) => {
    $("map-about").textContent = point.group ? `${point.title} · ${point.group}` : point.title;
  };
  const groups = drawMap($("map"), found.points, tell, trying((point) => showSimilar(point.id, { title: point.title })));
  $("legend").replaceChildren(
    ...groups.map(([name, colour]) => {
      const entry = make("li");
      const dot = make("span", undefined, { className: "dot" });
      dot.style.background = colour;
      entry.append(dot, name);
      return entry;
    }),
  );
}

// --- health ------------------------------------------------------------------------------------------------------

const LINE = /^(\w+)(?:\{(.*)\})? (\S+)$/;

function parsed(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const match = LINE.exec(line);
    if (!match) continue;
    const labels = Object.fromEntries([...(match[2] ?? "").matchAll(/(\w+)="([^"]*)"/g)].map((m) => [m[1], m[2]]));
    samples.push({ name: match[1], labels, value: Number(match[3]) });
  }
  return samples;
}

const RECALLS = new Set(["recall", "recall_user"]);

// Counts of recalls by the bound of their latency, all routes of recall together.
function histogram(samples) {
  const counts = new Map();
  for (const { name, labels, value } of samples) {
    if (name !== "mcfast_request_seconds_bucket" || !RECALLS.has(labels.route)) continue;
    counts.set(labels.le, (counts.get(labels.le) ?? 0) + value);
  }
  return [...counts].map(([bound, count]) => [bound === "+Inf" ? Infinity : Number(bound), count]);
}

function percentile(before, now, share) {
  const earlier = new Map(before);
  const counts = now.map(([bound, count]) => [bound, count - (earlier.get(bound) ?? 0)]).sort((a, b) => a[0] - b[0]);
  const total = counts.at(-1)?.[1] ?? 0;
  if (!total) return "–";
  const [bound] = counts.find(([, count]) => count >= share * total);
  return bound === Infinity ? "> 2.5 s" : `≤ ${1000 * bound} ms`;
}

let last = { time: 0, requests: 0, histogram: [] };
let served;

async function showHealth() {
  const samples = parsed(await ask("/metrics"));
  const sum = (name) => samples.filter((s) => s.name === name).reduce((total, s) => total + s.value, 0);
  const versions = new Set(samples.filter((s) => s.name === "mcfast_version").map((s) => s.value));
  const now = { time: performance.now(), requests: sum("mcfast_requests_total"), histogram: histogram(samples) };
  $("h-version").textContent = [...versions].join(", ") || "none";
  if (last.time) {
    $("h-rate").textContent = ((1000 * (now.requests - last.requests)) / (now.time - last.time)).toFixed(1);
    $("h-p50").textContent = percentile(last.histogram, now.histogram, 0.5);
    $("h-p99").textContent = percentile(last.histogram, now.histogram, 0.99);
  }
  const users = sum("mcfast_measured_recall_users");
  $("h-recall").textContent = users ? `${sum("mcfast_measured_recall").toFixed(3)} (${users} users)` : "–";
  $("h-workers").textContent = sum("mcfast_workers");
  last = now;
  const current = [...versions].join();
  if (current !== served) {
    served = current;
    await Promise.all([listVersions(), showMap($("attribute").value)]);
  }
}

async function watch() {
  await trying(showHealth)();
  setTimeout(watch, POLL);
}

$("user-form").addEventListener("submit", trying(showUser));
$("find-form").addEventListener("submit", trying(findItems));
$("attribute").addEventListener("change", trying(() => showMap($("attribute").value)));
$("token-form").addEventListener("submit", trying(async () => {
  sessionStorage.setItem("token", $("token").value);
  $("token-form").hidden = true;
  served = undefined;
  await showHealth();
}));
watch();
