"""The models, forms and pages of the large Django site: they can be made only after its set-up."""

from typing import Any

from django.contrib import admin
from django.db import models
from django.forms import ModelForm, modelform_factory
from django.http import HttpRequest, HttpResponse
from django.urls import path

MODELS = 120
NAMES = [f"name_{number}" for number in range(12)]


def model(number: int) -> type[models.Model]:
    """One of a chain, each of which refers to the one before it."""
    members: dict[str, Any] = {
        "__module__": __name__,
        "Meta": type("Meta", (), {"app_label": "large", "verbose_name": f"item of kind {number}"}),
        **{name: models.CharField(f"{name} of {number}", max_length=80) for name in NAMES},
        "made": models.DateTimeField(auto_now_add=True),
        "price": models.DecimalField(max_digits=9, decimal_places=2),
    }
    if number:
        members["parent"] = models.ForeignKey(f"large.Kind{number - 1}", models.CASCADE, related_name="children")
    return type(f"Kind{number}", (models.Model,), members)


KINDS = [model(number) for number in range(MODELS)]
FORMS: list[type[ModelForm]] = [modelform_factory(kind, fields=[*NAMES, "price"]) for kind in KINDS]
admin.site.register(KINDS)


def form(request: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse(FORMS[number](request.GET or None).as_p())


urlpatterns = [path("kinds/<int:number>", form), path("admin/", admin.site.urls)]
