-- From charges to the bank: what do non-payers, minimums, discounts, tax, wallets and fees make of it?
-- By hand: start with `charges` and add each amount, or take it off where its name begins with `less_`, up to `invoiced`, `due`, `billed` and `in_the_bank`.
SELECT billing_month, currency, step, amount
FROM (UNPIVOT revenue_bridge ON COLUMNS(* EXCLUDE (billing_month, currency))
    INTO NAME step VALUE amount)
WHERE amount <> 0 AND billing_month = (SELECT min(billing_month) FROM revenue_bridge);
