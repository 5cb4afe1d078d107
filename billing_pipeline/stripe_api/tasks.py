"""Several requests at once, of which the first failure is the failure.

What belongs here: asyncio's task group, without the group that it wraps around what went wrong.
What does not: how many at once, and what is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """As `asyncio.TaskGroup`, but for errors: whatever one request fails of, the others do as well,
    so the first one tells all. Interruptions stay as they are (`client.run_closing`)."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except ExceptionGroup as several:
        error: Exception = several
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        raise error from None
