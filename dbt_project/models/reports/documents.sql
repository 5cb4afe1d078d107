select * from {{ ref('issued_documents') }}
