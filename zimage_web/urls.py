"""All addresses: the studio's pages and the sign-in pages."""

from __future__ import annotations

from allauth.account import views as account
from django.urls import include, path, re_path

handler500 = "studio.web.views.errors.fault"
urlpatterns = [
    path("", include("studio.web.urls")),
    path("login/", account.login, name="account_login"),
    path("logout/", account.logout, name="account_logout"),
    path("signup/", account.signup, name="account_signup"),
    path("reauthenticate/", account.reauthenticate, name="account_reauthenticate"),
    path("me/password/", account.password_change, name="account_change_password"),
    path("me/password/set/", account.password_set, name="account_set_password"),
    path("inactive/", account.account_inactive, name="account_inactive"),
    path("password/reset/", account.password_reset, name="account_reset_password"),
    path("password/reset/done/", account.password_reset_done, name="account_reset_password_done"),
    # The key holds a hyphen itself: the first one ends the person's id.
    re_path(r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>[^/]+)/$", account.password_reset_from_key,
            name="account_reset_password_from_key"),
    path("password/reset/key/done/", account.password_reset_from_key_done,
         name="account_reset_password_from_key_done"),
]
