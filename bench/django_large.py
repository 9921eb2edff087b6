"""A Django site of a usual size: 120 models with their forms and admin pages, beside what Django brings; no database.

What preloading saves depends on how much there is to share: this is some tens of MiB, as in an application of one team.
And on whether the collector runs, which touches all that isn't frozen: forms are cycles, so that these requests make it
run. With views that leave no garbage both servers go on sharing, and Corral has one process more.
"""

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DEBUG=False,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    ROOT_URLCONF="django_large_urls",
    SECRET_KEY="only for measuring",
)
django.setup()

# As the models of an installed application are imported by the set-up, and so before any fork.
import django_large_urls  # noqa: E402, F401

app = WSGIHandler()
