"""Concurrent requests whose first failure is raised as it is.

What belongs here: asyncio's task group, without the exception group that it raises. What does not:
how many requests run at once, and which.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """Like `asyncio.TaskGroup`, but it raises the first error itself: the others usually have the
    same cause. Interruptions are raised as they are (`client.run_closing`)."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except ExceptionGroup as several:
        error: Exception = several
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        raise error from None
