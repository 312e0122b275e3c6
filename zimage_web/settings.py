"""Settings: read once from the environment, typed, refused when they make no sense.

Every variable stands in the README's table and in `.env.example`.
"""

from __future__ import annotations

from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from studio.domain.engine import LEVERS, PRECISIONS
from zimage_web import env, logs

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = env.path("VAR_DIR", BASE_DIR / "var")
STUDIO_SHAPE = env.choice("STUDIO_SHAPE", "embedded", ("embedded", "production"))
EMBEDDED = STUDIO_SHAPE == "embedded"
DEBUG = env.flag("DEBUG", False)
SECRET_KEY = env.secret("SECRET_KEY", VAR_DIR / "secret-key")
ALLOWED_HOSTS = env.names("ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]")
CSRF_TRUSTED_ORIGINS = env.origins("CSRF_TRUSTED_ORIGINS")
METRICS_TOKEN = env.token("METRICS_TOKEN")
LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))

# --- services -------------------------------------------------------------------------------
DATABASES = {"default": env.database("DATABASE_URL", VAR_DIR / "studio.sqlite3")}
_REDIS = ("redis", "rediss", "unix")
REDIS_URL = env.url("REDIS_URL", "" if EMBEDDED else "redis://127.0.0.1:6379/0", _REDIS)
# Kombu names a Redis behind a unix socket differently from redis-py.
BROKER_URL = env.url("BROKER_URL", REDIS_URL.replace("unix://", "redis+socket://", 1),
                     ("redis", "rediss", "redis+socket", "amqp", "amqps"))
if not EMBEDDED and DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    raise ImproperlyConfigured("DATABASE_URL: the production shape needs a postgres:// URL")

if REDIS_URL:
    CHANNEL_LAYERS = {"default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        # A socket timeout would drop idle subscriptions.
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": None, "max_connections": 10000}]},
    }}
    CACHES = {"default": {"BACKEND": "studio.web.cache.RateCache", "LOCATION": REDIS_URL, "OPTIONS": {
        "socket_connect_timeout": 2, "socket_timeout": 2}}}
else:  # a management command or a test without the supervisor's Redis
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

CELERY_BROKER_URL = BROKER_URL or "memory://"
CELERY_TASK_ACKS_LATE = CELERY_TASK_REJECT_ON_WORKER_LOST = CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker waits for its broker however long it is away
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_DEFAULT_QUEUE = "render"
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "beat")
CELERY_TIMEZONE = "UTC"
# Who sends a hint to a broker that is away gives up at once, instead of holding up a page for 6 s.
_GIVE_UP: dict[str, object] = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, object]
if CELERY_BROKER_URL.startswith("amqp"):
    CELERY_TASK_DEFAULT_QUEUE_TYPE = "quorum"
    CELERY_WORKER_DETECT_QUORUM_QUEUES = True
    CELERY_BROKER_TRANSPORT_OPTIONS = {"confirm_publish": True, **_GIVE_UP}
else:
    # After the timeout Redis hands a hint out again whose worker has been busy all the time; it does no harm.
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "visibility_timeout": 21600, "unacked_restore_interval": 10, "unacked_restore_throttle": 1,
        "socket_keepalive": True, "health_check_interval": 30, **_GIVE_UP}

# --- files ----------------------------------------------------------------------------------
STORAGE = env.choice("STORAGE", "local", ("local", "s3"))
MEDIA_ROOT = VAR_DIR / "media"
SIGNED_LINK_SECONDS = env.number("SIGNED_LINK_SECONDS", 300, low=10, high=86400)
STORAGES: dict[str, dict[str, object]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": MEDIA_ROOT}},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
if STORAGE == "s3":
    from botocore.config import Config

    _bucket, _key, _secret = env.text("S3_BUCKET"), env.text("S3_ACCESS_KEY"), env.text("S3_SECRET_KEY")
    if not _bucket:
        raise ImproperlyConfigured("S3_BUCKET: name the bucket when STORAGE=s3")
    if bool(_key) != bool(_secret):
        raise ImproperlyConfigured("S3_ACCESS_KEY, S3_SECRET_KEY: set both, or neither to use the machine's role")
    STORAGES["default"] = {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": {
        "bucket_name": _bucket, "endpoint_url": env.url("S3_ENDPOINT_URL", "", ("http", "https")) or None,
        "region_name": env.text("S3_REGION") or None, "access_key": _key or None, "secret_key": _secret or None,
        "querystring_expire": SIGNED_LINK_SECONDS,
        "client_config": Config(
            signature_version="s3v4",
            s3={"addressing_style": env.choice("S3_ADDRESSING", "auto", ("auto", "path", "virtual"))},
            connect_timeout=3, read_timeout=20, retries={"max_attempts": 2, "mode": "standard"},
            # Otherwise boto3 sends uploads in chunks with a checksum behind, which Alibaba's OSS and others refuse.
            # The signature covers the bytes anyway.
            request_checksum_calculation="when_required", response_checksum_validation="when_required")}}

# --- renders --------------------------------------------------------------------------------
MODEL_DIR = env.path("MODEL_DIR", BASE_DIR / "models" / "z-image-demo")
MODEL_DEVICE = env.choice("MODEL_DEVICE", "auto", ("auto", "cpu", "cuda"))
# Named in the environment, the folder is used whatever the registry says.
MODEL_DIR_IS_SET = bool(env.text("MODEL_DIR"))
MODELS_DIR = env.path("MODELS_DIR", VAR_DIR / "models")
MODEL_HUB = env.choice("MODEL_HUB", "huggingface", ("huggingface", "modelscope"))
MODEL_PRECISION = env.choice("MODEL_PRECISION", "auto", ("auto", *PRECISIONS))
MODEL_RESERVE_GB = env.number("MODEL_RESERVE_GB", 2, low=0, high=1000)
LEVERS_OFF = env.some_of("LEVERS_OFF", LEVERS)
PREWARM = env.sizes("PREWARM")
COMPILE_CACHE = env.path("COMPILE_CACHE", VAR_DIR / "compiled")
MODEL_THREADS = env.number("MODEL_THREADS", 0, low=0, high=256)
RENDERER = "studio.render.zimage.ZImageRenderer"
QUALITY_GATE = "studio.render.quality.run"
WORKER_NAME = env.short("WORKER_NAME", "worker-1", longest=80)
WORKER_POOL = env.text("WORKER_POOL")[:40]
LEASE_SECONDS = env.number("LEASE_SECONDS", 20, low=2, high=3600)
MAX_ATTEMPTS = env.number("MAX_ATTEMPTS", 3, low=1, high=10)
# Renders of one team, and of one person, that may wait or run at once; 0 running: no limit but the workers.
QUEUED_PER_TEAM = env.number("QUEUED_PER_TEAM", 2000, low=1, high=1_000_000)
QUEUED_PER_PERSON = env.number("QUEUED_PER_PERSON", 500, low=1, high=1_000_000)
RUNNING_PER_TEAM = env.number("RUNNING_PER_TEAM", 0, low=0, high=10_000)
RUNNING_PER_PERSON = env.number("RUNNING_PER_PERSON", 0, low=0, high=10_000)
# The embedded supervisor kills what has not ended after 7 s.
STOP_GRACE_SECONDS = env.number("STOP_GRACE_SECONDS", 4 if EMBEDDED else 60, low=0, high=3600)
TEAM_MONTHLY_PICTURES = env.number("TEAM_MONTHLY_PICTURES", 2000, low=0, high=10_000_000)
AI_LABEL_PRODUCER = env.text("AI_LABEL_PRODUCER", "Z-Image-campaign-studio")

# --- application ----------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.messages",
    "whitenoise.runserver_nostatic", "django.contrib.staticfiles", "channels", "django_htmx",
    "allauth", "allauth.account", "studio",
]
MIDDLEWARE = [
    "studio.web.middleware.request_log",
    "django.middleware.security.SecurityMiddleware",
    "studio.web.middleware.content_security_policy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "studio.web.middleware.person_in_log",
    "studio.web.middleware.language",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "studio.web.middleware.StudioErrors",
]
ROOT_URLCONF = "zimage_web.urls"
ASGI_APPLICATION = "zimage_web.asgi.application"
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [BASE_DIR / "templates"], "APP_DIRS": False,
    "OPTIONS": {
        "context_processors": [
            "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages", "studio.web.context.shell",
        ],
        "builtins": [
            "django.templatetags.i18n", "django.templatetags.static",
            "studio.templatetags.icons", "studio.templatetags.studio_tags"],
        "loaders": ["django.template.loaders.filesystem.Loader"] if DEBUG else [
            ("django.template.loaders.cached.Loader", ["django.template.loaders.filesystem.Loader"])],
    },
}]
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True  # straight from static/: nothing to collect
WHITENOISE_AUTOREFRESH = DEBUG
FILE_UPLOAD_MAX_MEMORY_SIZE = 5 * 2**20
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000

AUTH_USER_MODEL = "studio.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "studio.web.allauth_adapter.ClosedAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""  # the subjects name the studio themselves
ACCOUNT_LOGOUT_REDIRECT_URL = LOGIN_URL
ACCOUNT_SESSION_REMEMBER = None
ACCOUNT_RATE_LIMITS = {"login_failed": "10/m/ip,5/5m/key"}
HTTPS_ONLY = env.flag("HTTPS_ONLY", not EMBEDDED)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS_ONLY
SESSION_COOKIE_HTTPONLY = True
SESSION_ENGINE = "studio.web.sessions"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_SSL_REDIRECT = HTTPS_ONLY
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS_ONLY else 0
SECURE_REFERRER_POLICY = "same-origin"
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
if env.flag("BEHIND_PROXY", False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    ALLAUTH_TRUSTED_PROXY_COUNT = 1  # or everybody's failed sign-ins would count as the proxy's
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "studio.web.views.errors.csrf_failure"

EMAIL_HOST = env.text("EMAIL_HOST")
EMAIL_PORT = env.number("EMAIL_PORT", 587, low=1, high=65535)
EMAIL_HOST_USER = env.text("EMAIL_USER")
EMAIL_HOST_PASSWORD = env.text("EMAIL_PASSWORD")
EMAIL_USE_TLS = env.flag("EMAIL_TLS", True)
DEFAULT_FROM_EMAIL = env.text("EMAIL_FROM", "studio@localhost")
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'console'}.EmailBackend"

LANGUAGE_CODE = "en"
LANGUAGES = [("zh-hans", "中文"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "studio" / "locale"]
USE_I18N = USE_TZ = True
TIME_ZONE = env.time_zone("TIME_ZONE", "Asia/Shanghai")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGGING_CONFIG = None
logs.configure(LOG_LEVEL, json=not EMBEDDED)
