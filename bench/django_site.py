"""A small Django site in one file: the common middleware, a few routes, a JSON view; no database."""

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DEBUG=False,
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for measuring",
)
django.setup()


def index(request: HttpRequest) -> HttpResponse:
    return HttpResponse("Items are under /items/")


def items(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"items": [{"number": number} for number in range(10)]})


def item(request: HttpRequest, number: int) -> HttpResponse:
    currency = request.GET.get("currency", "EUR")
    return JsonResponse({"number": number, "name": f"item {number}", "currency": currency, "tags": ["a", "b"]})


def item_of(request: HttpRequest, name: str, number: int) -> HttpResponse:
    return JsonResponse({"owner": name, "number": number})


urlpatterns = [
    path("", index),
    path("items/", items),
    path("items/<int:number>", item),
    path("people/<str:name>/items/<int:number>", item_of),
]

app = WSGIHandler()
