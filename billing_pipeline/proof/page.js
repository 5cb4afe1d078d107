// Shows what the calculator finds. Everything from the invoice is put into the page as text, never
// as markup.
"use strict";

function shownText(value) {
  // Control characters, and marks that turn the direction of what follows.
  return String(value ?? "").replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
}

function element(name, content, className) {
  const made = document.createElement(name);
  if (className) made.className = className;
  for (const part of Array.isArray(content) ? content : [content]) {
    if (part === null || part === undefined) continue;
    made.append(typeof part === "object" ? part : shownText(part));
  }
  return made;
}

function table(names, rows, numeric = []) {
  const head = element("thead", [element("tr", names.map((name) => element("th", name)))]);
  const body = element("tbody", rows.map((row) => element("tr", row.map((cell, place) => element("td", cell, numeric.includes(place) ? "number" : "")))));
  const made = element("table", [head, body]);
  return element("div", [made], "scroll");
}

function time(us) {
  const ms = BigInt(us) / 1000n, rest = BigInt(us) % 1000n;
  const text = new Date(Number(ms)).toISOString().replace("T", " ").replace(".000Z", "").replace("Z", "");
  return rest ? `${text} + ${rest} µs` : text;
}

function mark(agrees) {
  if (agrees === true) return element("span", "agrees", "good");
  if (agrees === false) return element("span", "differs", "bad");
  return element("span", "not computed", "quiet");
}

function worst(findings) {
  if (findings.some((one) => one.agrees === false)) return false;
  return findings.length && findings.every((one) => one.agrees === true) ? true : null;
}

function givenTerms(charge) {
  const rows = [];
  const add = (name, value) => {
    if (value !== null && value !== undefined && value !== "" && value !== false && value !== "none") rows.push([name, String(value)]);
  };
  add("charge_model", charge.charge_model);
  for (const [name, value] of Object.entries(charge.terms)) if (name !== "tiers") add(name, value);
  for (const [name, value] of Object.entries(charge.rule ?? {})) if (name !== "price_id") add(name, value);
  add("prorate", charge.prorate);
  for (const [name, value] of Object.entries(charge.meter ?? {})) add(name === "meter_id" ? name : `meter: ${name}`, value);
  add("corrections", charge.corrected);
  for (const one of charge.carried ?? []) add("carried in", `${one.value} since ${one.from}${one.group ? ` of ${one.group}` : ""}`);
  for (const one of charge.seats ?? []) add("seats", `${one.quantity} from ${time(one.starts_at)}${one.ends_at ? ` to ${time(one.ends_at)}` : ""}`);
  return rows;
}

const FIRST_EVENTS = 100;

function eventsPart(charge) {
  if (!charge.meter) return [];
  const digest = element("p", ["Digest of its events: ", element("code", charge.events_digest)], "small");
  if (!charge.events) return [element("p", `${charge.event_count} events, which are not in this file.`), digest];
  const own = eventsDigest(charge.events);
  digest.append(" ", mark(own === charge.events_digest));
  const row = (event) => [event.id ?? "", time(event.at), event.raw ?? event.value ?? event.unique ?? "1", event.group ?? "", event.correction ? "correction" : ""];
  const names = ["event", "time, UTC", "value", "group", ""];
  const list = element("div", [table(names, charge.events.slice(0, FIRST_EVENTS).map(row), [2])]);
  if (charge.events.length > FIRST_EVENTS) {
    const all = element("button", `Show all ${charge.events.length}`);
    all.addEventListener("click", () => list.replaceChildren(table(names, charge.events.map(row), [2])));
    list.append(all);
  }
  return [element("h4", `${charge.events.length} events`), list, digest];
}

function chargePart(charge, steps) {
  const parts = [
    element("p", `Service period ${time(charge.period_start)} to ${time(charge.period_end)} UTC; price ${charge.price_id} of plan ${charge.plan_id}; subscription ${charge.subscription_id}.`, "small"),
    element("h4", "Rule"),
    table(["", ""], givenTerms(charge)),
  ];
  if (charge.terms.tiers.length) {
    const tiers = charge.terms.tiers.map((tier) => [tier.up_to ?? "∞", tier.unit_amount ?? "", tier.flat_amount ?? "", tier.percentage ?? ""]);
    parts.push(table(["up to", "unit amount", "flat amount", "per cent"], tiers, [0, 1, 2, 3]));
  }
  parts.push(element("h4", "Computed here"), table(["", ""], steps ?? []));
  parts.push(element("p", `As billed: ${charge.calculation}`, "small"));
  return [...parts, ...eventsPart(charge)];
}

function linePart(line, charge, findings, steps) {
  const found = findings.filter((one) => one.id === line.line_id || (charge && one.id === charge.charge_id));
  const money = found.find((one) => one.id === line.line_id) ?? found.find((one) => one.what === "amount");
  const head = element("summary", [
    element("span", line.description, "what"),
    element("span", [element("b", line.shown), money && money.computed !== null ? ` computed ${money.computed} ` : " ", mark(worst(found))], "amounts"),
  ]);
  const inside = charge ? chargePart(charge, steps.get(charge.charge_id)) : [table(["", ""], steps.get(line.line_id) ?? [["as billed", line.calculation ?? ""]])];
  const wrong = found.filter((one) => one.agrees === false).map((one) => [one.what, one.billed, one.computed]);
  if (wrong.length) inside.unshift(table(["differs", "billed", "computed here"], wrong, [1, 2]));
  return element("details", [head, ...inside]);
}

function sentPart(sent, proof) {
  if (!sent.length) return [element("p", "Nothing of this invoice has been sent to Stripe.")];
  const own = new Map(proof.lines.map((line) => [line.line_id, line.amount]));
  return sent.map((one) => {
    const digest = sha256(one.content).slice(0, 32);
    const content = JSON.parse(one.content);
    const lines = content[content.length - 1];
    const listed = lines.filter((line) => own.has(line[0]));
    const equal = listed.filter((line) => same(major(BigInt(line[3]), proof.stripe_places), number(own.get(line[0]))));
    return element("div", [
      element("p", [`Revision ${one.revision}, Stripe's ${one.stripe_invoice_id}. Digest in its metadata (billing_content_hash): `, element("code", one.digest), " computed ", element("code", digest), " ", mark(digest === one.digest)]),
      element("p", `${equal.length} of the ${lines.length} lines that were sent stand above with the same amount.`, "small"),
      element("details", [element("summary", "The text whose digest it is: SHA-256, the first 32 digits"), element("pre", one.content)]),
    ]);
  });
}

function show(proof) {
  const { findings, steps, agrees } = prove(proof);
  const digests = proof.charges.filter((charge) => charge.events).every((charge) => eventsDigest(charge.events) === charge.events_digest)
    && proof.sent.every((one) => sha256(one.content).slice(0, 32) === one.digest);
  const counted = findings.filter((one) => one.agrees !== null).length;
  const wrong = findings.filter((one) => one.agrees === false).length;
  const left = proof.charges.filter((charge) => charge.meter && !charge.events).length;
  const verdict = agrees && digests
    ? `All ${counted} numbers that were computed here agree with those that were billed.`
    : wrong ? `${wrong} of ${counted} numbers differ from those that were billed.` : "A digest is another one.";
  const main = document.getElementById("page");
  main.replaceChildren(
    element("h1", `Invoice ${proof.invoice.invoice_id}`),
    element("p", `${proof.seller ? `${proof.seller}, for ` : ""}${proof.customer} (${proof.invoice.customer_id}), month ${proof.invoice.billing_month.slice(0, 7)}, amounts in ${proof.invoice.currency}`),
    element("p", [element("b", verdict), left ? ` The events of ${left} charges are not in this file: their quantities are taken as they were billed.` : ""], agrees && digests ? "verdict good" : "verdict bad"),
    element("p", "Your browser has just computed every amount below again, from the events, the prices and the terms in this file, in whole numbers. Nothing was loaded, and nothing is sent.", "small"),
    element("h2", "Lines"),
  );
  const byId = new Map(proof.charges.map((charge) => [charge.charge_id, charge]));
  const onLine = new Set();
  for (const line of proof.lines) {
    onLine.add(line.charge_id);
    line.shown = fixed(number(line.amount), proof.places);
    main.append(linePart(line, byId.get(line.charge_id), findings, steps));
  }
  const others = proof.charges.filter((charge) => !onLine.has(charge.charge_id));
  if (others.length) {
    main.append(element("h2", "Charges of nothing, which stand on no line"));
    for (const charge of others) main.append(linePart({ ...charge, line_id: charge.charge_id, shown: "0" }, charge, findings, steps));
  }
  main.append(element("h2", "Sums"));
  const sums = findings.filter((one) => one.id === null);
  main.append(table(["", "billed", "computed here", ""], sums.map((one) => [one.what, fixed(number(one.billed), proof.places), one.computed, mark(one.agrees)]), [1, 2]));
  main.append(element("p", `From the prepaid wallet: ${fixed(number(proof.invoice.wallet_applied), proof.places)}.`, "small"));
  main.append(element("h2", "What Stripe was told"), ...sentPart(proof.sent, proof));
}

show(JSON.parse(document.getElementById("proof").textContent));
