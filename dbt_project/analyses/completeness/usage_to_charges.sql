-- Is all usage billed: how do the rows of usage files become charged events?
-- By hand: `rows_read` is the number of lines in the month's folder of usage/ (`wc -l`, less the headers of CSV); less `rejected_rows` and `duplicate_rows` it is `accepted_rows`, and less `unpriced_events` `priced_events`. Less what only limits count, what meters could not read and what a later month invoices, plus what is metered again for further prices, meters and subscriptions and what comes from earlier months' files, it is `metered_events`; less `trial_events` it is `charged_events`. `event_bridge` has the same by event name.
SELECT billing_month, rows_read, rejected_rows, duplicate_rows, accepted_rows, unpriced_events,
    priced_events, limit_events, unread_events, later_events, again_by_prices,
    again_by_subscriptions, earlier_events, metered_events, trial_events, charged_events
FROM usage_bridge
ORDER BY billing_month;
