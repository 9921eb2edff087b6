"""A small Django site: the common middleware, a few routes, a JSON view (django_urls.py); no database."""

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DEBUG=False,
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    ROOT_URLCONF="django_urls",
    SECRET_KEY="only for measuring",
)
django.setup()

app = WSGIHandler()
