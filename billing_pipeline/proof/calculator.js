// Computes an invoice again from its events, prices and terms, and compares each number with the
// one that was billed. Written from docs/charge-models.md and docs/decisions.md, not from the
// models of the pipeline: it is to find their mistakes. It knows nothing of the page.
//
// All arithmetic is with whole numbers (BigInt); a number is a fraction { n, d }. Nothing is rounded
// before the line, and nothing is a float.
"use strict";

const ZERO = { n: 0n, d: 1n };
const ONE = { n: 1n, d: 1n };
const HUNDRED = { n: 100n, d: 1n };

function gcd(a, b) {
  a = a < 0n ? -a : a;
  while (b) [a, b] = [b, a % b];
  return a;
}

function fraction(n, d = 1n) {
  if (d < 0n) [n, d] = [-n, -d];
  const common = gcd(n, d) || 1n;
  return { n: n / common, d: d / common };
}

// A decimal as text, such as "-0.05"; null where there is none.
function number(text) {
  if (text === null || text === undefined || text === "") return null;
  const found = /^([+-]?)(\d*)(?:\.(\d*))?$/.exec(text);
  if (!found || !(found[2] || found[3])) throw new Error(`not a decimal: ${text}`);
  const places = found[3] || "";
  const digits = BigInt((found[2] || "0") + places);
  return fraction(found[1] === "-" ? -digits : digits, 10n ** BigInt(places.length));
}

const or = (text, other) => number(text) ?? other;
const plus = (a, b) => fraction(a.n * b.d + b.n * a.d, a.d * b.d);
const minus = (a, b) => fraction(a.n * b.d - b.n * a.d, a.d * b.d);
const times = (a, b) => fraction(a.n * b.n, a.d * b.d);
const over = (a, b) => fraction(a.n * b.d, a.d * b.n);
const less = (a, b) => a.n * b.d < b.n * a.d;
const same = (a, b) => a.n === b.n && a.d === b.d;
const largest = (a, b) => (less(a, b) ? b : a);
const smallest = (a, b) => (less(b, a) ? b : a);
const sum = (values) => values.reduce(plus, ZERO);
const whole = (n) => fraction(BigInt(n));

function floor(x) {
  const quotient = x.n / x.d;
  return x.n % x.d < 0n ? quotient - 1n : quotient;
}

const ceil = (x) => -floor({ n: -x.n, d: x.d });

// To so many places, half away from zero.
function rounded(x, places) {
  const scale = 10n ** BigInt(places);
  const positive = x.n < 0n ? -x.n : x.n;
  const units = (2n * positive * scale + x.d) / (2n * x.d);
  return fraction(x.n < 0n ? -units : units, scale);
}

// As people write it: exactly where it ends within 20 places, else its beginning.
function shown(x) {
  let places = 0n;
  while (places < 20n && (x.n * 10n ** places) % x.d) places += 1n;
  const exact = (x.n * 10n ** places) % x.d === 0n;
  return exact ? fixed(x, Number(places)) : `${fixed(x, 12)}…`;
}

function fixed(x, places) {
  const cut = rounded(x, places);
  const units = (cut.n * 10n ** BigInt(places)) / cut.d;
  const digits = String(units < 0n ? -units : units).padStart(places + 1, "0");
  const point = digits.length - places;
  const text = places ? `${digits.slice(0, point)}.${digits.slice(point)}` : digits;
  return units < 0n ? `-${text}` : text;
}

// ---------------------------------------------------------------- from events to a quantity

// An event's value as the meter reads it; null where there is no number of 0 or more.
function valueOf(event, meter) {
  if (event.value !== null && event.value !== undefined) return number(event.value);
  if (event.raw === null || !/^\d+(\.\d+)?$/.test(event.raw)) return null;
  const value = number(event.raw);
  const step = event.correction ? null : number(meter.event_rounding);
  return step === null ? value : times(whole(ceil(over(value, step))), step);
}

function quantityOf(charge, steps) {
  if (!charge.meter) return number(charge.stated_quantity);
  const meter = charge.meter;
  if (!charge.events) {
    steps.push(["quantity", `${charge.quantity}, of ${charge.event_count} events that are not in this file`]);
    return number(charge.quantity);
  }
  if (meter.aggregation === "custom") {
    steps.push(["quantity", `${charge.quantity}, by a calculation of the seller's own`]);
    return number(charge.quantity);
  }
  const quantity = measured(charge, meter);
  const text = `${meter.aggregation} of ${charge.events.length} events`;
  const corrected = charge.corrected ? ` and corrections of ${charge.corrected}` : "";
  steps.push(["quantity", `${text}${corrected}: ${shown(quantity)}`]);
  return less(quantity, ZERO) ? ZERO : quantity;
}

function measured(charge, meter) {
  const read = charge.events.map((event, place) => ({
    ...event,
    place,
    time: BigInt(event.at),
    number: meter.aggregation === "unique_count" ? null : valueOf(event, meter),
  }));
  const corrected = or(charge.corrected, ZERO);
  switch (meter.aggregation) {
    case "count":
      return plus(whole(read.length), corrected);
    case "sum":
    case "counter":
      return plus(sum(read.map((event) => event.number ?? ZERO)), corrected);
    case "time_weighted_average":
    case "gauge_hours":
      return integral(charge, meter, read);
    default:
      return cells(charge, meter, inForce(read));
  }
}

// A correction takes the place of the readings of its instant and group, and of several the last.
function inForce(read) {
  const key = (event) => `${event.time}|${event.group ?? ""}`;
  const last = new Map();
  for (const event of read) {
    if (event.correction && readable(event)) last.set(key(event), event.place);
  }
  return read.filter((event) => {
    const place = last.get(key(event));
    return place === undefined || place === event.place;
  });
}

const readable = (event) => event.number !== null || (event.unique ?? null) !== null;

// The aggregation within each group and bucket; the results are added up.
function cells(charge, meter, read) {
  const carried = new Map((charge.carried ?? []).map((one) => [one.group ?? "", number(one.value)]));
  const groups = new Map();
  for (const group of carried.keys()) groups.set(group, []);
  for (const event of read) {
    const group = event.group ?? "";
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push(event);
  }
  if (!groups.size) return ZERO;
  if (!meter.is_split) {
    // One cell, whatever groups the readings that were carried had.
    const values = [...carried.values()];
    const opening = values.length ? values.reduce(largest) : null;
    return cell(meter, read, opening);
  }
  let total = ZERO;
  for (const [group, events] of groups) {
    let opening = carried.get(group) ?? null;
    if (!meter.bucket) {
      total = plus(total, cell(meter, events, opening));
      continue;
    }
    const buckets = new Map();
    for (const start of charge.buckets ?? []) buckets.set(BigInt(start), []);
    for (const event of events) {
      const start = BigInt(event.bucket);
      if (!buckets.has(start)) buckets.set(start, []);
      buckets.get(start).push(event);
    }
    const order = [...buckets.keys()].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
    for (const start of order) {
      const inside = buckets.get(start);
      total = plus(total, cell(meter, inside, meter.carry_forward ? opening : null));
      const values = inside.filter((event) => event.number !== null);
      if (values.length) opening = values[values.length - 1].number;
    }
  }
  return total;
}

function cell(meter, events, opening) {
  const values = events.map((event) => event.number).filter((value) => value !== null);
  if (meter.aggregation === "max") {
    return [...values, ...(opening === null ? [] : [opening])].reduce(largest, ZERO);
  }
  if (meter.aggregation === "latest") {
    return values.length ? values[values.length - 1] : opening ?? ZERO;
  }
  if (meter.aggregation === "unique_count") {
    const texts = events.map((event) => event.unique ?? null).filter((text) => text !== null);
    return whole(new Set(texts).size);
  }
  const percent = BigInt(/^p(\d+)$/.exec(meter.aggregation)[1]);
  if (!values.length) return ZERO;
  values.sort((a, b) => (less(a, b) ? -1 : less(b, a) ? 1 : 0));
  // The nearest rank: the ⌈percent × n ÷ 100⌉-th smallest.
  const rank = (percent * BigInt(values.length) + 99n) / 100n;
  return values[Number(rank) - 1];
}

// Each value times the time for which it held, over the period's time or in hours.
function integral(charge, meter, read) {
  const start = BigInt(charge.period_start), end = BigInt(charge.period_end);
  const series = new Map();
  for (const one of charge.carried ?? []) {
    series.set(one.group ?? "", [{ time: start, number: number(one.value) }]);
  }
  for (const event of read) {
    if (event.number === null) continue;
    const group = event.group ?? "";
    if (!series.has(group)) series.set(group, []);
    series.get(group).push(event);
  }
  let total = ZERO;
  for (const points of series.values()) {
    points.forEach((point, index) => {
      const until = index + 1 < points.length ? points[index + 1].time : end;
      total = plus(total, times(point.number, whole(until - point.time)));
    });
  }
  const unit = meter.aggregation === "gauge_hours" ? 3600000000n : end - start;
  return over(total, whole(unit));
}

// ---------------------------------------------------------------- from a quantity to an amount

function chargeAmount(charge, places) {
  const steps = [];
  const terms = charge.terms;
  const exact = quantityOf(charge, steps);
  const us = BigInt(charge.period_end) - BigInt(charge.period_start);
  const part = charge.prorate ? fraction(us, BigInt(charge.whole_us)) : ONE;
  // A fee or a gauge is shared as a whole; usage that adds up only in its terms.
  const ofAmount = charge.is_share_of_amount ? part : ONE;
  const ofTerms = charge.is_share_of_amount ? ONE : part;

  let quantity = exact;
  if (terms.quantity_rounding && terms.quantity_rounding !== "none") {
    quantity = whole(roundedQuantity(exact, terms.quantity_rounding));
    steps.push(["rounded", `${terms.quantity_rounding}: ${shown(quantity)}`]);
  }
  let included = or(terms.included_quantity, ZERO);
  if (terms.included_per === "seat") included = times(included, averageSeats(charge));
  else included = times(included, ofTerms);
  const rest = minus(quantity, included);
  const billable = less(rest, ZERO) ? ZERO : rest;
  if (included.n) steps.push(["billable", `${shown(quantity)} − ${shown(included)} included = ${shown(billable)}`]);

  let amount = modelAmount(charge, billable, steps);
  if (!same(ofAmount, ONE)) {
    amount = times(amount, ofAmount);
    steps.push(["share of the period", `${us} of ${charge.whole_us} microseconds: ${shown(amount)}`]);
  }
  // The bounds are those of a whole period.
  for (const [name, choose] of [["minimum_amount", largest], ["maximum_amount", smallest]]) {
    if (number(terms[name]) === null) continue;
    const bound = times(number(terms[name]), part);
    const bounded = choose(amount, bound);
    if (!same(bounded, amount)) steps.push([name.replace("_amount", ""), shown(bounded)]);
    amount = bounded;
  }
  if (charge.kind === "advance_credit") {
    amount = minus(ZERO, amount);
    steps.push(["given back", shown(amount)]);
  }
  const result = rounded(amount, places);
  steps.push(["amount", `${shown(amount)}, rounded to ${fixed(result, places)}`]);
  return { exact, billable, amount, result, steps };
}

function roundedQuantity(quantity, how) {
  if (how === "up") return ceil(quantity);
  if (how === "down") return floor(quantity);
  return floor(plus(quantity, fraction(1n, 2n)));
}

// The subscription's quantity, averaged over the service period; where the terms are shared, each
// part counts in the whole billing period.
function averageSeats(charge) {
  const start = BigInt(charge.period_start), end = BigInt(charge.period_end);
  let total = ZERO;
  for (const version of charge.seats ?? []) {
    const from = BigInt(version.starts_at) > start ? BigInt(version.starts_at) : start;
    const until = version.ends_at !== null && BigInt(version.ends_at) < end ? BigInt(version.ends_at) : end;
    if (until > from) total = plus(total, times(number(version.quantity), whole(until - from)));
  }
  const shared = charge.prorate && !charge.is_share_of_amount;
  return over(total, whole(shared ? BigInt(charge.whole_us) : end - start));
}

function modelAmount(charge, billable, steps) {
  const terms = charge.terms;
  const unit = or(terms.unit_amount, ZERO);
  const flat = or(terms.flat_amount, ZERO);
  const percent = over(or(terms.percentage, ZERO), HUNDRED);
  switch (charge.charge_model) {
    case "flat": {
      const due = !charge.meter || billable.n > 0n;
      steps.push(["flat", due ? shown(flat) : "nothing was used: 0"]);
      return due ? flat : ZERO;
    }
    case "per_unit":
      return product(billable, unit, steps);
    case "dynamic":
      return product(billable, or(terms.unit_amount, ONE), steps);
    case "package": {
      const packages = whole(ceil(over(billable, number(terms.package_size))));
      steps.push(["packages", `⌈${shown(billable)} ÷ ${terms.package_size}⌉ = ${shown(packages)}`]);
      return product(packages, unit, steps);
    }
    case "percentage":
      return percentageAmount(charge, billable, percent, flat, steps);
    case "volume":
    case "graduated":
    case "graduated_percentage":
      return tieredAmount(charge, billable, steps);
    default:
      throw new Error(`unknown charge model ${charge.charge_model}`);
  }
}

function product(quantity, price, steps) {
  const amount = times(quantity, price);
  steps.push(["price", `${shown(quantity)} × ${shown(price)} = ${shown(amount)}`]);
  return amount;
}

// Tiers are (from, up_to]; a quantity of 0 is in the first one.
function tieredAmount(charge, billable, steps) {
  let from = ZERO, amount = ZERO;
  for (const [index, tier] of charge.terms.tiers.entries()) {
    const upTo = number(tier.up_to);
    const endsHere = upTo === null || !less(upTo, billable);
    const entered = index === 0 || less(from, billable);
    if (entered && (charge.charge_model !== "volume" || endsHere)) {
      const part = charge.charge_model === "volume" ? billable : minus(endsHere ? billable : upTo, from);
      const rate = charge.charge_model === "graduated_percentage"
        ? over(or(tier.percentage, ZERO), HUNDRED)
        : or(tier.unit_amount, ZERO);
      const own = plus(times(part, rate), or(tier.flat_amount, ZERO));
      steps.push([`tier ${index + 1}`, `${shown(part)} × ${shown(rate)} + ${shown(or(tier.flat_amount, ZERO))} = ${shown(own)}`]);
      amount = plus(amount, own);
    }
    if (endsHere) break;
    from = upTo;
  }
  return amount;
}

function percentageAmount(charge, billable, percent, flat, steps) {
  const terms = charge.terms;
  const least = number(terms.event_minimum_amount), most = number(terms.event_maximum_amount);
  const free = Number(terms.free_events ?? 0);
  if (least === null && most === null && !free) {
    const amount = times(billable, percent);
    const fees = times(flat, whole(charge.event_count));
    steps.push(["percentage", `${shown(billable)} × ${shown(percent)} = ${shown(amount)}`]);
    if (flat.n) steps.push(["per event", `${charge.event_count} × ${shown(flat)} = ${shown(fees)}`]);
    return plus(amount, fees);
  }
  if (!charge.events) return null;
  // The first events by time, then id, are free; each other one has an amount of its own.
  const events = charge.events
    .map((event) => ({ ...event, time: BigInt(event.at), number: valueOf(event, charge.meter) }))
    .filter((event) => event.number !== null)
    .sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  const charged = events.slice(free);
  let amount = ZERO;
  for (const event of charged) {
    let own = times(event.number, percent);
    if (least !== null) own = largest(own, least);
    if (most !== null) own = smallest(own, most);
    amount = plus(amount, own);
  }
  amount = plus(amount, times(or(charge.corrected, ZERO), percent));
  if (less(amount, ZERO)) amount = ZERO;
  const fees = times(flat, whole(charged.length));
  steps.push(["percentage", `${charged.length} events of ${events.length}, each within its bounds: ${shown(amount)}`]);
  if (flat.n) steps.push(["per event", `${charged.length} × ${shown(flat)} = ${shown(fees)}`]);
  return plus(amount, fees);
}

// ---------------------------------------------------------------- from lines to an invoice

// Shares of a whole number in proportion to others: each is cut off, and what is missing goes to
// the largest remainders, of equal ones by id.
function spread(amount, parts) {
  const total = parts.reduce((all, part) => all + part.weight, 0n);
  const size = total < 0n ? -total : total;
  const cut = parts.map((part) => {
    const numerator = amount * (total < 0n ? -1n : 1n) * part.weight;
    const quotient = floor({ n: numerator, d: size || 1n });
    return { ...part, share: quotient, rest: numerator - quotient * (size || 1n) };
  });
  let missing = amount - cut.reduce((all, part) => all + part.share, 0n);
  cut.sort((a, b) => (a.rest > b.rest ? -1 : a.rest < b.rest ? 1 : a.id < b.id ? -1 : 1));
  for (const part of cut) {
    if (missing <= 0n) break;
    part.share += 1n;
    missing -= 1n;
  }
  return new Map(cut.map((part) => [part.id, part.share]));
}

// One coupon after another, over what those before have left of the lines. In minor units.
function discounts(subscription, amounts, places) {
  const left = new Map(subscription.lines.map((id) => [id, minor(amounts.get(id), places)]));
  const found = [];
  for (const coupon of subscription.coupons) {
    const covered = coupon.lines.filter((id) => left.has(id));
    const base = covered.reduce((all, id) => all + left.get(id), 0n);
    let off;
    if (coupon.percent_off !== null) {
      off = minor(rounded(times(over(whole(base), whole(10n ** BigInt(places))), over(number(coupon.percent_off), HUNDRED)), places), places);
    } else {
      const most = minor(rounded(number(coupon.amount_off), places), places);
      const room = base > 0n ? base : 0n;
      off = most < room ? most : room;
    }
    const shares = spread(off, covered.map((id) => ({ id, weight: left.get(id) })));
    for (const [id, share] of shares) left.set(id, left.get(id) - share);
    found.push({ coupon, base, off, shares });
  }
  return found;
}

function minor(x, places) {
  const scaled = times(x, whole(10n ** BigInt(places)));
  if (scaled.d !== 1n) throw new Error("an amount is finer than its currency");
  return scaled.n;
}

const major = (units, places) => fraction(units, 10n ** BigInt(places));

function taxAmount(rate, rates, bases, places) {
  // Lines with the same rates contain the same part of an inclusive one.
  let exact = ZERO;
  for (const [id, base] of bases) {
    const own = rates.filter((other) => other.lines.includes(id));
    if (!rate.lines.includes(id)) continue;
    const inside = sum(own.filter((other) => other.is_inclusive).map((other) => number(other.percentage)));
    const divisor = rate.is_inclusive ? plus(HUNDRED, inside) : HUNDRED;
    exact = plus(exact, over(times(base, number(rate.percentage)), divisor));
  }
  return { exact, result: rounded(exact, places) };
}

// A line whose sentence is its rule: "minimum 100; less 87.54 charged; rounded to 12.46 USD".
function sentenceAmount(line) {
  const parts = line.calculation.split("; ").slice(0, -1);
  const amounts = [];
  const of = (pattern, text) => new RegExp(`^${pattern.replaceAll("N", "(-?\\d+(?:\\.\\d+)?)")}$`).exec(text);
  for (const text of parts) {
    let found;
    if ((found = of("(?:minimum|committed|adjustment of) N(?:, paid beforehand)?", text))) amounts.push(number(found[1]));
    else if ((found = of("less N (?:charged|spent)", text))) amounts.push(minus(ZERO, number(found[1])));
    else if ((found = of("× N / N seconds of the period", text))) {
      amounts.push(over(times(amounts.pop(), number(found[1])), number(found[2])));
    } else if ((found = of("N % of N beyond N", text))) amounts.push(over(times(number(found[1]), number(found[2])), HUNDRED));
    else if (!text.startsWith("not published")) return null;
  }
  return sum(amounts);
}

// ---------------------------------------------------------------- the whole invoice

// What was computed, beside what was billed. `findings`: one for each number.
function prove(document) {
  const places = document.places;
  const findings = [];
  const steps = new Map();
  const check = (what, id, billed, computed, exactly) => {
    const agrees = computed === null ? null : same(number(billed), computed);
    findings.push({ what, id, billed, computed: computed === null ? null : (exactly ?? shown)(computed), agrees });
  };
  const money = (x) => fixed(x, places);
  const byCharge = new Map();
  for (const charge of document.charges) {
    const found = chargeAmount(charge, places);
    byCharge.set(charge.charge_id, found);
    steps.set(charge.charge_id, found.steps);
    if (charge.events && charge.meter?.aggregation !== "custom") {
      check("quantity", charge.charge_id, charge.quantity, rounded(found.exact, 18));
    }
    check("billable quantity", charge.charge_id, charge.billable_quantity, rounded(found.billable, 18));
    check("exact amount", charge.charge_id, charge.exact_amount, rounded(found.amount, 12));
    check("amount", charge.charge_id, charge.amount, found.result, money);
  }

  const amounts = new Map();
  for (const line of document.lines) {
    if (line.kind === "charge") {
      const found = byCharge.get(line.charge_id);
      amounts.set(line.line_id, found.result);
      check("line", line.line_id, line.amount, found.result, money);
    } else if (line.kind !== "discount" && line.kind !== "tax") {
      const exact = sentenceAmount(line);
      const result = exact === null ? null : rounded(exact, places);
      amounts.set(line.line_id, result ?? number(line.amount));
      check(line.kind, line.line_id, line.amount, result, money);
      steps.set(line.line_id, [["by its rule", line.calculation]]);
    }
  }

  const shares = new Map();
  for (const subscription of document.discounts) {
    for (const found of discounts(subscription, amounts, places)) {
      for (const [id, share] of found.shares) shares.set(id, (shares.get(id) ?? 0n) + share);
      const amount = major(-found.off, places);
      const { line_id: id } = found.coupon;
      if (id === null && !found.off) continue;
      const line = document.lines.find((one) => one.line_id === id);
      amounts.set(id, amount);
      check("discount", id, line ? line.amount : "0", amount, money);
      const off = found.coupon.percent_off !== null ? `${found.coupon.percent_off} % of` : `${found.coupon.amount_off} off`;
      steps.set(id, [["coupon", `${off} ${money(major(found.base, places))} = ${money(major(found.off, places))}`]]);
    }
  }

  const bases = new Map();
  for (const id of new Set(document.taxes.flatMap((rate) => rate.lines))) {
    bases.set(id, minus(amounts.get(id), major(shares.get(id) ?? 0n, places)));
  }
  for (const rate of document.taxes) {
    const { exact, result } = taxAmount(rate, document.taxes, bases, places);
    const line = document.lines.find((one) => one.line_id === rate.line_id);
    if (!line && !result.n) continue;
    check("tax", rate.line_id, line ? line.amount : "0", result, money);
    const base = sum(rate.lines.map((id) => bases.get(id)));
    steps.set(rate.line_id, [["tax", `${rate.percentage} % ${rate.is_inclusive ? "in" : "on"} ${money(base)}: ${shown(exact)}, rounded to ${money(result)}`]]);
    amounts.set(rate.line_id, result);
  }

  const of = (kinds, inclusive = false) =>
    sum(document.lines.filter((line) => kinds(line.kind) && Boolean(line.is_inclusive) === inclusive).map((line) => amounts.get(line.line_id) ?? ZERO));
  const subtotal = of((kind) => kind !== "discount" && kind !== "tax");
  const discount = minus(ZERO, of((kind) => kind === "discount"));
  const tax = of((kind) => kind === "tax");
  const total = plus(minus(subtotal, discount), tax);
  const due = minus(total, number(document.invoice.wallet_applied));
  const invoice = document.invoice;
  check("subtotal", null, invoice.subtotal, subtotal, money);
  check("discount of the invoice", null, invoice.discount, discount, money);
  check("tax of the invoice", null, invoice.tax, tax, money);
  check("tax that is included", null, invoice.tax_included, of((kind) => kind === "tax", true), money);
  check("total", null, invoice.total, total, money);
  check("amount due", null, invoice.amount_due, less(due, ZERO) ? ZERO : due, money);
  return { findings, steps, agrees: findings.every((one) => one.agrees !== false) };
}

// ---------------------------------------------------------------- digests

// SHA-256 of a text in UTF-8, as hex (FIPS 180-4). Browsers have one too, but not for every file
// that is opened from a disk.
function sha256(text) {
  const bytes = [...new TextEncoder().encode(text)];
  const bits = BigInt(bytes.length) * 8n;
  bytes.push(0x80);
  while (bytes.length % 64 !== 56) bytes.push(0);
  for (let shift = 56n; shift >= 0n; shift -= 8n) bytes.push(Number((bits >> shift) & 255n));
  const state = HASH_START.slice();
  const words = new Int32Array(64);
  for (let block = 0; block < bytes.length; block += 64) {
    for (let i = 0; i < 16; i += 1) {
      const at = block + 4 * i;
      words[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
    }
    for (let i = 16; i < 64; i += 1) {
      const a = words[i - 15], b = words[i - 2];
      const low = turned(a, 7) ^ turned(a, 18) ^ (a >>> 3);
      const high = turned(b, 17) ^ turned(b, 19) ^ (b >>> 10);
      words[i] = (words[i - 16] + low + words[i - 7] + high) | 0;
    }
    compress(state, words);
  }
  return state.map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}

const turned = (word, by) => (word >>> by) | (word << (32 - by));

function compress(state, words) {
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i += 1) {
    const high = turned(e, 6) ^ turned(e, 11) ^ turned(e, 25);
    const one = (h + high + ((e & f) ^ (~e & g)) + HASH_WORDS[i] + words[i]) | 0;
    const low = turned(a, 2) ^ turned(a, 13) ^ turned(a, 22);
    const two = (low + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, i) => (state[i] = (state[i] + word) | 0));
}

// The first 32 bits behind the point of the square and cube roots of the first primes, by whole
// numbers.
function rootBits(prime, power) {
  const target = BigInt(prime) << (32n * BigInt(power));
  let low = 0n, high = 1n << 40n;
  while (high - low > 1n) {
    const middle = (low + high) >> 1n;
    if (middle ** BigInt(power) <= target) low = middle;
    else high = middle;
  }
  return Number(low & 0xffffffffn) | 0;
}

function primes(count) {
  const found = [];
  for (let n = 2; found.length < count; n += 1) if (found.every((prime) => n % prime)) found.push(n);
  return found;
}

const HASH_START = primes(8).map((prime) => rootBits(prime, 2));
const HASH_WORDS = primes(64).map((prime) => rootBits(prime, 3));

// The digest of a charge's events: one line each, `id,time,value`.
function eventsDigest(events) {
  return sha256(events.map((event) => [event.id ?? "", event.at, event.raw ?? event.value ?? event.unique ?? ""].join(",") + "\n").join(""));
}

if (typeof module !== "undefined") module.exports = { prove, sha256, eventsDigest, number, rounded, fixed, shown };
