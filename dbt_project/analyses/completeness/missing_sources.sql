-- Did a source of usage deliver nothing, or less than it should?
-- By hand: none in the sample, which names no sources. Each row of catalog/sources.csv that the month expects files of, beside the files in usage/.
SELECT billing_month, source, file_pattern, expected, file_count
FROM usage_sources
WHERE expected = 'monthly' AND file_count = 0
ORDER BY billing_month, source;
