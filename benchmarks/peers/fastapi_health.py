"""Peer of P9: a health page of the same shape in FastAPI, served by uvicorn as it comes with httptools and uvloop."""

import sys
import time

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Metric(BaseModel):
    value: float
    status: str


class Check(BaseModel):
    status: str
    detail: str


class Health(BaseModel):
    overall_status: str
    timestamp: float
    metrics: dict[str, Metric]
    active_alerts: int
    critical_alerts: int
    checks: dict[str, Check]


app = FastAPI()
NAMES = ("cpu_usage", "memory_usage", "disk_usage", "active_users", "queued", "latency")
PARTS = ("storage", "exchange", "market", "lanes", "outbox", "bot", "disk", "memory")


@app.get("/health")
async def health() -> Health:
    return Health(
        overall_status="healthy",
        timestamp=time.time(),
        metrics={name: Metric(value=12.5, status="healthy") for name in NAMES},
        active_alerts=0,
        critical_alerts=0,
        checks={name: Check(status="healthy", detail="as it should be") for name in PARTS},
    )


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False)
