"use strict";

// Everything is written with textContent: names come from clients and peers.
const $ = (id) => document.getElementById(id);

function cell(row, value, tag = "td") {
  const c = document.createElement(tag);
  const [text, kind] = Array.isArray(value) ? value : [value, ""];
  c.textContent = text;
  if (kind) c.className = kind;
  row.append(c);
}

function fill(id, head, rows, none) {
  const table = $(id);
  table.replaceChildren();
  if (head) {
    const row = table.createTHead().insertRow();
    head.forEach((h) => cell(row, h, "th"));
  }
  const body = table.createTBody();
  for (const values of rows) values.reduce((row, v) => (cell(row, v), row), body.insertRow());
  if (!rows.length) cell(body.insertRow(), none || "none");
}

const ms = (v) => v.toFixed(v < 10 ? 2 : 1) + " ms";
const judged = (good, text) => [text, good ? "good" : "bad"];

function bytes(n) {
  let unit = 0;
  for (; n >= 1024 && unit < 4; unit++) n /= 1024;
  return n.toFixed(unit ? 1 : 0) + " " + ["B", "KiB", "MiB", "GiB", "TiB"][unit];
}

function age(seconds) {
  const s = Math.floor(seconds), pad = (n) => String(n).padStart(2, "0");
  return (s >= 86400 ? Math.floor(s / 86400) + " d " : "") +
    [Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60, s % 60].map(pad).join(":");
}

function show(s) {
  $("who").textContent = `${s.node} in ${s.site}, federation ${s.federation}, up ${age(s.uptime_seconds)}`;
  document.title = `${s.node} – Ringway`;
  const ring = s.ring, view = s.view;
  fill("summary", null, [
    ["ring", judged(ring.state === "operational", ring.state), `${ring.members.length} of ${ring.configured} nodes: ${ring.members.join(", ")}`],
    ["view", judged(view.complete && !view.frozen, view.frozen ? "changing" : view.complete ? "complete" : "not complete"),
      `${view.members.length} of ${view.configured} sites: ${view.members.join(", ")}`],
    ["packets", `${ring.packets_sent} sent`, `${ring.packets_received} received, ${ring.packets_retransmitted} retransmitted`],
    ["export", `record ${s.export.position}`, `${bytes(s.export.unstable_bytes)} not yet everywhere`],
    ["groups", String(s.groups), ""],
    ["version", s.version, ring.lan_mode],
  ]);
  fill("links", ["peer", "site", "state", "rtt", "jitter", "loss", "sent", "received", "waiting"], s.links.map((l) => [
    l.peer, l.site, judged(l.state === "up", l.state + (l.reason ? ": " + l.reason : "")), ms(l.rtt_ms), ms(l.jitter_ms),
    (l.loss * 100).toFixed(2) + " %", bytes(l.bytes_sent), bytes(l.bytes_received),
    l.control_messages_waiting ? `${l.control_messages_waiting} (${bytes(l.control_bytes_waiting)})` : ""]), "this node is no gateway, or has no link");
  fill("routes", ["to", "cost", "path"], s.routes.map((r) =>
    [r.site, r.path.length ? ms(r.cost_ms) : "", r.path.length ? r.path.join(" → ") : ["unreachable", "bad"]]));
  fill("streams", ["origin", "position", "lag", "behind", "slow"], s.streams.map((t) =>
    [t.origin, String(t.position), t.lag_records + " records", ms(t.lag_ms), ms(t.slow_ms)]));
  fill("logs", ["origin", "records", "kept", "from", "resumed", "to"], s.logs.map((l) =>
    [l.origin, `${l.first} to ${l.next}`, bytes(l.bytes), l.own ? "this site" : l.from, String(l.resumes),
      l.subscribers.map((b) => `${b.gateway} (${b.lag_records} behind)`).join(", ")]), "this node is no gateway");
  fill("sessions", ["name", "address", "groups", "queued", "in", "out", "since"], s.sessions.map((c) =>
    [c.name, c.address, String(c.groups), bytes(c.queued_bytes), String(c.received), String(c.delivered), age(c.connected_seconds)]));
  fill("counters", null, Object.entries(s.counters).map(([k, v]) => [k, String(v)]));
}

async function refresh() {
  const health = $("health");
  try {
    const [status, ready] = await Promise.all([fetch("status"), fetch("readyz")]);
    if (!status.ok) throw new Error((await status.text()).trim());
    show(await status.json());
    health.textContent = (await ready.text()).trim();
    health.className = ready.ok ? "good" : "bad";
  } catch (err) {
    health.textContent = "no answer from the node: " + err.message;
    health.className = "bad";
  }
  setTimeout(refresh, 1000);
}

refresh();
