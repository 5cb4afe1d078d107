-- Is all usage billed: how do the rows of usage files become charged events?
-- By hand: `rows_read` is the number of lines in the month's folder of usage/ (`wc -l`, less the headers of CSV); less `rejected_rows` and `duplicate_rows` it is `accepted_rows`, and `metered_events` less `trial_events` is `charged_events`. Between the two, an event counts once for each meter and subscription that it is charged for, in the month that invoices its period; limits count events that no price charges.
SELECT billing_month, rows_read, rejected_rows, duplicate_rows, accepted_rows, unpriced_events,
    priced_events, metered_events, trial_events, charged_events
FROM usage_bridge
ORDER BY billing_month;
