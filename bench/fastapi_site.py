"""A small FastAPI application: one JSON view that reads its path and its query."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/items/{number}")
async def item(number: int, currency: str) -> dict[str, object]:
    return {"number": number, "name": f"item {number}", "currency": currency, "tags": ["a", "b"]}
