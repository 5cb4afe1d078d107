-- Was anything changed after billing in a month in which nothing was approved?
-- By hand: none. Each supplement and credit note has a plan in `approvals`; its run is in Dagster's history under `run_id`.
SELECT documents.invoice_id, documents.number, documents.issued_at
FROM documents
WHERE documents.kind <> 'invoice'
    AND NOT EXISTS (
        SELECT 1 FROM approvals
        WHERE approvals.billing_month = documents.billing_month
            AND approvals.decision = 'approved' AND approvals.decided_at <= documents.issued_at
    )
ORDER BY documents.number;
