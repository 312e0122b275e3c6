"""Small pieces of markup and formatting that every page shares."""

from __future__ import annotations

from dataclasses import dataclass

from django import template
from django.contrib.messages.storage.base import Message
from django.utils.functional import Promise
from django.utils.html import format_html, json_script
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from studio.domain.priority import Priority
from studio.domain.spec import SAMPLER_LABELS
from studio.models import User
from studio.templatetags.icons import icon

register = template.Library()
NOTHING = "–"


# --- names in two languages -----------------------------------------------------------------
def _chinese_first() -> bool:
    return (get_language() or "en").startswith("zh")


def _names(thing: object) -> tuple[tuple[str, str], tuple[str, str]]:
    """(text, BCP 47 tag) of a thing's two names, the one for the page's language first."""
    zh = (str(getattr(thing, "name_zh", "") or ""), "zh-CN")
    en = (str(getattr(thing, "name_en", "") or ""), "en")
    return (zh, en) if _chinese_first() else (en, zh)


def _shown(thing: object) -> tuple[str, str]:
    first, second = _names(thing)
    return first if first[0] else second


@register.filter
def localname(thing: object) -> str:
    """The name in the page's language, or in the other one if that is all there is."""
    return _shown(thing)[0]


@register.filter
def locallang(thing: object) -> str:
    """The language tag of what `localname` returns, for a `lang` attribute."""
    return _shown(thing)[1]


@register.filter
def othername(thing: object) -> str:
    """The name in the other language; empty if `localname` already shows it or it says the same."""
    first, second = _names(thing)
    return second[0] if first[0] and first[0] != second[0] else ""


@register.filter
def otherlang(thing: object) -> str:
    """The language tag of what `othername` returns."""
    return _names(thing)[1][1]


# --- numbers --------------------------------------------------------------------------------
@register.filter
def thousands(value: int | None) -> str:
    """4920 as "4,920", in both languages."""
    return NOTHING if value is None else f"{value:,}"


@register.filter
def duration(milliseconds: float | None) -> str:
    """Milliseconds as people read them: "0.41 s", "12.6 s", "2 min 5 s"."""
    if milliseconds is None:
        return NOTHING
    seconds = milliseconds / 1000
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


# --- people ---------------------------------------------------------------------------------
def initials(name: str) -> str:
    """One Chinese character, or up to two Latin initials."""
    words = name.split()
    if not words:
        return "?"
    if "\u3400" <= words[0][0] <= "\u9fff":
        return words[0][0]
    return "".join(word[0] for word in words[:2]).upper()


@register.simple_tag
def avatar(user: User, css: str = "") -> SafeString:
    """A person's initials on a colour of their own. `css`: "sm" for the 22 px size."""
    # 67 and 360 share no factor, so neighbouring keys get colours far apart.
    return format_html(
        '<span class="{}" style="--hue:{}" role="img" aria-label="{}" title="{}">{}</span>',
        f"av {css}".rstrip(), (user.pk * 67) % 360, user.name, user.name, initials(user.name))


# --- samplers -------------------------------------------------------------------------------
@register.filter
def samplername(value: str) -> str:
    """"DPM++ 2M" for "dpmpp_2m"."""
    return SAMPLER_LABELS.get(value, value)


# --- progress and status --------------------------------------------------------------------
@register.simple_tag
def steps(done: int, total: int = 8, css: str = "") -> SafeString:
    """The step strip. `css`: "sm" for the thin one, "done" or "failed" for its end state."""
    text = gettext("Step %(done)d of %(total)d") % {"done": done, "total": total}
    return format_html(
        '<span class="{}" style="--n:{};--of:{}" role="progressbar" aria-label="{}" aria-valuemin="0" '
        'aria-valuemax="{}" aria-valuenow="{}" aria-valuetext="{}"></span>',
        f"steps8 {css}".rstrip(), done, total, gettext("Render progress"), total, done, text)


@dataclass(frozen=True, slots=True)
class Look:
    """How a state is shown: never by colour alone."""

    css: str
    icon: str
    word: Promise


#: By the string values of studio.domain.states.
LOOKS: dict[str, Look] = {
    "draft": Look("", "circle-dashed", pgettext_lazy("state", "Draft")),
    "in_review": Look("info", "eye", pgettext_lazy("state", "In review")),
    "changes": Look("warn", "message-square", pgettext_lazy("state", "Changes")),
    "approved": Look("ok", "check", pgettext_lazy("state", "Approved")),
    "queued": Look("", "clock", pgettext_lazy("state", "Queued")),
    "running": Look("live", "zap", pgettext_lazy("state", "Rendering")),
    "done": Look("ok", "check", pgettext_lazy("state", "Done")),
    "failed": Look("bad", "triangle-alert", pgettext_lazy("state", "Failed")),
    "cancelled": Look("", "ban", pgettext_lazy("state", "Cancelled")),
    "open": Look("info", "eye", pgettext_lazy("state", "In review")),
    "withdrawn": Look("", "undo-2", pgettext_lazy("state", "Withdrawn")),
}


@register.filter
def statusword(value: str) -> str:
    """The translated word of a state alone, for labels and titles."""
    return str(LOOKS[str(value)].word)


@register.simple_tag
def status(value: str, css: str = "", *, label: str = "") -> SafeString:
    """Icon, word and colour of an asset's, job's or review's state.

    `label` replaces the word ("7 / 12 done"); `css` "bare" leaves the background out.
    """
    look = LOOKS[str(value)]
    classes = " ".join(part for part in ("st", look.css, css) if part)
    return format_html('<span class="{}">{}{}</span>', classes, icon(look.icon), label or look.word)


#: By class; the others are nothing to speak of.
CLASS_LOOKS: dict[Priority, Look] = {
    Priority.URGENT: Look("warn", "chevrons-up", pgettext_lazy("priority", "Urgent")),
    Priority.BATCH: Look("later", "chevrons-down", pgettext_lazy("priority", "Background")),
}


@register.simple_tag
def class_mark(priority: int) -> SafeString | str:
    """Icon and word of a render that is urgent or in the background; nothing for all the others."""
    look = CLASS_LOOKS.get(Priority(priority))
    return format_html(
        '<span class="st bare class {}">{}{}</span>', look.css, icon(look.icon), look.word) if look else ""


@register.simple_tag
def seal() -> SafeString:
    """The stamp of an approved picture."""
    return format_html('<span class="seal" role="img" aria-label="{}">准</span>', statusword("approved"))


@register.filter
def undo_address(message: Message) -> str:
    """The address whose POST takes a message's deed back ("undo:<address>" in its tags), or nothing."""
    kind, _colon, address = (message.extra_tags or "").partition(":")
    return address if kind == "undo" else ""


# --- what the scripts say -------------------------------------------------------------------
#: Texts of static/js, by key. A page's own texts stand in its data attributes.
SCRIPT_TEXTS: dict[str, Promise] = {
    "close": _("Close"),
    "undo": _("Undo"),
    "failed": _("That didn't work. Reload the page to see what was saved, then try again."),
    "forbidden": _("Your role doesn't allow this. Nothing was changed."),
    "gone": _("This is no longer here. Reload the page to see what is."),
    "busy": _("Too many requests. Wait a minute and try again."),
    "unreachable": _("The studio can't be reached. Check the connection, then reload the page to see what was saved."),
    "offline": _("You are offline. The page updates itself when the connection is back."),
    "reconnecting": _("Live updates are interrupted. Reconnecting; nothing is lost."),
    "reconnected": _("Connected again. The page is up to date."),
    "access_ended": _("Your access to this page has ended. What you see may be out of date."),
    "sign_in_again": _("You have been signed out. Sign in again to go on; the page stays as it is."),
    "sign_in": _("Sign in"),
    "show_password": _("Show"),
    "hide_password": _("Hide"),
    "to_campaigns": _("Back to campaigns"),
    "keys_page": _("This page"),
    "keys_go": _("Go to"),
    "keys_general": _("Everywhere"),
    "keys_sheet": _("Show the keys"),
    "key_then": _("then"),
}


@register.simple_tag
def script_texts() -> SafeString:
    """The texts as a JSON block that scripts read; data, so a strict script policy allows it."""
    return json_script({key: str(text) for key, text in SCRIPT_TEXTS.items()}, "strings")
