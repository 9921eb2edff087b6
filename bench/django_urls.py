"""The views and routes of the Django site.

Not in the site's own file: fastpysgi loads that without entering it in sys.modules, so Django would load it once more.
"""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path


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
