"""The one settings file. Everything an installation may change comes from the environment, read loudly."""

import contextlib
import os
import secrets
import socket
from importlib.util import find_spec
from pathlib import Path

import dj_database_url
from csp.constants import NONE, SELF

from console import environment as env
from safety.scorer import addresses as scorer_addresses

BASE_DIR = Path(__file__).resolve().parent.parent
HOME = Path(env.text("BACKLOT_HOME", str(BASE_DIR / "var"))).expanduser().resolve()
PORT = env.integer("PORT", 8000, least=1, most=65535)


def installation_secret(name: str) -> str:
    """A random secret that belongs to this installation, made at first use and readable by its owner alone.

    It is written aside and then linked into place: of two processes that start at once one wins, whole.
    """
    path = HOME / "secrets" / name
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = path.with_name(f".{name}.{os.getpid()}")
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48))
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
        aside.unlink()
    return path.read_text().strip()


DEBUG = env.flag("DEBUG", True)
SECRET_KEY = os.environ.get("SECRET_KEY") or installation_secret("django")
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "pgtrigger",
    "pghistory",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "django_htmx",
    "csp",
    "accounts",
    "billing",
    "safety",
    "generation",
    "console",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "console.observability.requests.observed",
    "console.requests.RequestIdentity",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "console.requests.PlainErrors",
    # After PlainErrors, so that allauth sees its own exceptions first: "sign in again" is one of them.
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "console.requests.in_one_thread",
]

ROOT_URLCONF = "console.urls"
ASGI_APPLICATION = "console.asgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "console.frame.frame",
            ],
            "builtins": ["console.templatetags.figures", "console.templatetags.icons"],
        },
    }
]

# So many requests at once are answered by views that aren't async; more wait. Most wait for the database by then.
WEB_THREADS = env.integer("WEB_THREADS", 64, least=1, most=1000)
# Views run in threads, more of them than there are connections: these come from a pool, not from the thread.
DATABASE_URL = env.text("DATABASE_URL", "")
REDIS_URL = env.text("REDIS_URL", "")
DATABASES = {"default": dj_database_url.parse(DATABASE_URL or "postgresql://unset:unset@127.0.0.1:1/unset")}
DATABASES["default"]["OPTIONS"] = {
    "pool": {"min_size": 1, "max_size": env.integer("DATABASE_POOL", 12, least=2, most=200), "timeout": 10},
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
# Off by default, since a fresh installation has no mail server: "optional" and "mandatory" need EMAIL_HOST.
ACCOUNT_EMAIL_VERIFICATION = env.choice("EMAIL_VERIFICATION", "none", ("none", "optional", "mandatory"))
ACCOUNT_FORMS = {"signup": "accounts.sign_up.SignUpForm"}
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_LOGOUT_REDIRECT_URL = "/accounts/login/"

# Staff need a second factor, members may have one (accounts/second_factor.py).
MFA_ADAPTER = "accounts.second_factor.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_ISSUER = "Backlot"
MFA_ALLOW_UNVERIFIED_EMAIL = ACCOUNT_EMAIL_VERIFICATION != "mandatory"
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = DEBUG  # a passkey on http://localhost; browsers refuse bare addresses

# Mail goes to the log of the web process until a server is named.
EMAIL_HOST = env.text("EMAIL_HOST", "")
EMAIL_PORT = env.integer("EMAIL_PORT", 587, least=1, most=65535)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS", True)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "Backlot <backlot@localhost>")
EMAIL_BACKEND = env.text(
    "EMAIL_BACKEND", f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'console'}.EmailBackend"
)

# Where people reach this installation, for links in mails ("https://backlot.example"); without it they have none.
SITE_URL = env.text("SITE_URL", "").rstrip("/")

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"

STATIC_URL = "/static/"
# Plotly's script (4.8 MB) is served from its wheel; find_spec doesn't import the package.
PLOTLY_FILES = Path(find_spec("plotly").submodule_search_locations[0]) / "package_data"
STATICFILES_DIRS = [BASE_DIR / "static", ("plotly", PLOTLY_FILES)]
STATIC_ROOT = HOME / "static"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

# Clips and previews are written by workers and served by generation/delivery.py, never by a public folder.
STORAGES = {
    "default": {
        "BACKEND": "generation.storage.SignedFileSystemStorage",
        "OPTIONS": {"location": str(HOME / "media")},
    },
    # What waits for a person or was withdrawn: never delivered from here.
    "quarantine": {
        "BACKEND": "generation.storage.QuarantineStorage",
        "OPTIONS": {
            "location": str(HOME / "quarantine"),
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    },
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
CHECKPOINT_ROOT = HOME / "checkpoints"
WORK_ROOT = HOME / "work"  # files of attempts under way; nothing here outlives its attempt
DELIVERY_URL_SECONDS = 60
# Clips that a worker encodes, scans and signs beside the next one's steps; 0 lets the device wait for each.
FINISHING_PLACES = env.integer("FINISHING_PLACES", 2, least=0, most=16)
# A worker whose clips blow up so often, over so many prompts, within so many minutes is quarantined.
NAN_QUARANTINE_ATTEMPTS = env.integer("NAN_QUARANTINE_ATTEMPTS", 3, least=1, most=1000)
NAN_QUARANTINE_PROMPTS = env.integer("NAN_QUARANTINE_PROMPTS", 2, least=1, most=1000)
NAN_QUARANTINE_MINUTES = env.integer("NAN_QUARANTINE_MINUTES", 30, least=1, most=1440)
# Whether webhooks may go to this machine and its neighbours, without TLS and to any port: for development alone.
WEBHOOK_LOCAL_ADDRESSES = env.flag("WEBHOOK_LOCAL_ADDRESSES", DEBUG)
if WEBHOOK_LOCAL_ADDRESSES and not DEBUG:
    raise env.BadEnvironment(
        "WEBHOOK_LOCAL_ADDRESSES: only with DEBUG; customers could reach what is behind it"
    )
# Whom alarms page (docs/operators/alarms/README.md): PagerDuty services by their Events v2 routing keys, the second one
# for what escalated; an incoming webhook of a chat; mail. Empty: alarms are seen on their page alone.
PAGERDUTY_ROUTING_KEY = env.text("PAGERDUTY_ROUTING_KEY", "")
PAGERDUTY_SECOND_ROUTING_KEY = env.text("PAGERDUTY_SECOND_ROUTING_KEY", "")
PAGERDUTY_URL = env.text("PAGERDUTY_URL", "https://events.pagerduty.com/v2/enqueue")
ALARM_WEBHOOK_URL = env.text("ALARM_WEBHOOK_URL", "")
ALARM_MAIL_TO = env.words("ALARM_MAIL_TO")
# Whether those addresses may lie on this machine or in its network, without TLS.
# A real job of Backlot's own in every pool, every five minutes, whose age is an alarm.
SYNTHETIC_JOBS = env.flag("SYNTHETIC_JOBS", True)
ALARM_LOCAL_ADDRESSES = env.flag("ALARM_LOCAL_ADDRESSES", DEBUG)
MAX_REQUEST_BYTES = 1_000_000
# Streams of code that one API key, or one person on the pages, may have open at once.
STREAMS_PER_KEY = env.integer("STREAMS_PER_KEY", 100, least=1, most=100_000)
VERIFY_MAX_BYTES = 50_000_000  # of a file whose credentials anybody may have read at /verify
# Where a form may carry more: the file (a picture of 12 MB to begin a clip from, a clip to extend), and what wraps it.
REQUEST_BYTES_AT = {
    "/verify": VERIFY_MAX_BYTES + 100_000,
    "/v1/videos": 12_500_000,
    "/v1/videos/*/remix": 12_500_000,
    "/v1/videos/extensions": VERIFY_MAX_BYTES + 100_000,
    "/v1/videos/edits": VERIFY_MAX_BYTES + 100_000,
}

# Who takes the money for credits: stripe, sandbox (no real money) or off. Unset: Stripe where there is a key, else the
# sandbox under DEBUG and off without it, because the sandbox gives credits away (docs/payments.md).
PAYMENTS = env.choice("PAYMENTS", "", ("", "stripe", "sandbox", "off"))
STRIPE_SECRET_KEY = env.text("STRIPE_SECRET_KEY", "")
STRIPE_WEBHOOK_SECRET = env.text("STRIPE_WEBHOOK_SECRET", "")
# Another server that speaks Stripe's API, for tests.
STRIPE_API_BASE = env.text("STRIPE_API_BASE", "")
if (PAYMENTS or (STRIPE_SECRET_KEY and "stripe")) == "stripe":
    env.together("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET")
SANDBOX_WEBHOOK_SECRET = installation_secret("sandbox-webhooks")
DATA_UPLOAD_MAX_MEMORY_SIZE = 12_000_000
FILE_UPLOAD_MAX_MEMORY_SIZE = 12_000_000

SIGNING_ROOT = HOME / "signing"
# The first signing key: "development", "file:FOLDER", "environment:PREFIX" or "callback:dotted.path"; later ones are
# rotations, which are rows (docs/provenance.md).
SIGNING_KEY = env.text("SIGNING_KEY", "development")
SIGNING_KMS_URL = env.text("SIGNING_KMS_URL", "")
SIGNING_KMS_TOKEN = env.text("SIGNING_KMS_TOKEN", "")
SIGNING_BUDGET_SECONDS = env.integer("SIGNING_BUDGET_SECONDS", 1, least=1, most=60)
SIGNING_EXPIRY_NOTICE_DAYS = env.integer("SIGNING_EXPIRY_NOTICE_DAYS", 30, least=1, most=365)
# Who stamps the time of a signature: local (an authority of this installation's own), off, or an RFC 3161 address with
# the PEM file of the roots that its stamps rest on.
TIMESTAMP_URL = env.text("TIMESTAMP_URL", "local")
TIMESTAMP_ANCHORS = env.text("TIMESTAMP_ANCHORS", "")
# Told which addresses to forget when a clip is withdrawn: an http(s) address, or a dotted path of a function.
CDN_PURGE = env.text("CDN_PURGE", "")
# Classifiers of the installation's own (docs/safety-frames.md), and how long they have: for a batch, and for a scan.
SAFETY_GATES_FILE = env.text("SAFETY_GATES_FILE", "")
SAFETY_GATE_SECONDS = env.integer("SAFETY_GATE_SECONDS", 20, least=1, most=60)
SAFETY_SCAN_SECONDS = env.integer("SAFETY_SCAN_SECONDS", 100, least=1, most=110)
SAFETY_ACCEPT_CANARIES_ONLY = env.text("SAFETY_ACCEPT_CANARIES_ONLY", "")

# Where scorers of texts listen (unix:/path or host:port, comma-separated); `serve` starts those of this home.
SCORERS = env.words("SCORERS", scorer_addresses.default(HOME))
SCORER_SECRET = env.text("SCORER_SECRET", "") or installation_secret("scorer")
SCORER_DEADLINE_MS = env.integer("SCORER_DEADLINE_MS", 2000, least=20, most=60_000)
SCORER_MODEL = env.text("SCORER_MODEL", "")  # a sentence-transformers folder; empty: the packaged MiniLM
# A larger judge of texts behind the cascade: a transformers sequence-classification folder or an OpenAI-compatible URL.
GUARD_MODEL = env.text("GUARD_MODEL", "")
GUARD_URL = env.text("GUARD_URL", "")
GUARD_KEY = env.text("GUARD_KEY", "")
GUARD_DEADLINE_MS = env.integer("GUARD_DEADLINE_MS", 3000, least=20, most=60_000)

# Evaluations: who rates clips against their prompts (empty: the attribute detector of the shipped model's world), and
# the feature network of the coherence distance (empty: the small one that ships).
EVALUATION_JUDGE_URL = env.text("EVALUATION_JUDGE_URL", "")
EVALUATION_JUDGE_MODEL = env.text("EVALUATION_JUDGE_MODEL", "")
EVALUATION_JUDGE_KEY = env.text("EVALUATION_JUDGE_KEY", "")
EVALUATION_FEATURES = env.text("EVALUATION_FEATURES", "")
# Whether the beat starts the weekly evaluation and the online bridge: hours of a device, so off for a look around.
EVALUATE_REGULARLY = env.flag("EVALUATE_REGULARLY", not DEBUG)

CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_DISABLE_PREFETCH = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_DEFAULT_QUEUE = "upkeep"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "media-src": [SELF, "blob:"],
        "style-src": [SELF, "'unsafe-inline'"],  # Plotly writes style attributes
        "object-src": [NONE],
        "frame-ancestors": [NONE],
        "base-uri": [SELF],
    }
}
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = not DEBUG
CSRF_COOKIE_SECURE = not DEBUG
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"

# Who may read /metrics: whoever bears this token; without one only this machine (docs/operators/observability.md).
METRICS_TOKEN = env.text("METRICS_TOKEN", "")
# Where the processes of one machine count what they do. prometheus_client reads the variable when it is imported.
METRICS_FOLDER = Path(env.text("METRICS_FOLDER", str(HOME / "run" / "metrics" / socket.gethostname())))
METRICS_FOLDER.mkdir(parents=True, exist_ok=True)
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(METRICS_FOLDER)
# A line in the log for each answered request.
REQUEST_LOG = env.flag("REQUEST_LOG", env.text("LOG_FORMAT", "text").lower() == "json")

LOGGING_CONFIG = None  # console/logs.py configures structlog and the standard library together
