"""A small Flask application: a few routes, and a JSON view that reads its path and its query."""

from flask import Flask, Response, jsonify, request

app = Flask(__name__)


@app.get("/")
def index() -> str:
    return "Items are under /items/"


@app.get("/items/")
def items() -> Response:
    return jsonify([{"number": number} for number in range(10)])


@app.get("/items/<int:number>")
def item(number: int) -> Response:
    return jsonify(number=number, name=f"item {number}", currency=request.args.get("currency", "EUR"), tags=["a", "b"])


@app.get("/people/<name>/items/<int:number>")
def item_of(name: str, number: int) -> Response:
    return jsonify(owner=name, number=number)
