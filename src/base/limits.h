/*
 * Every quantity that a stranger controls has its limit here, by name, with its unit and why.
 */
#ifndef COFFER_BASE_LIMITS_H
#define COFFER_BASE_LIMITS_H

enum {
    /* HTTP */
    LIMIT_HTTP_QUERY = 64 * 1024,           /* bytes of a raw query (SCEP by GET is the largest) */
    LIMIT_HTTP_BODY_SCEP = 256 * 1024,      /* bytes; real messages are about 3 KB */
    LIMIT_HTTP_BODY_OTA = 256 * 1024,       /* bytes of a signed device attribute plist */
    LIMIT_HTTP_BODY_MDM = 2 * 1024 * 1024,  /* bytes; InstalledApplicationList is the largest */
    LIMIT_HTTP_BODY_API = 1024 * 1024,      /* bytes */
    LIMIT_HTTP_BODY_FORM = 16 * 1024,       /* bytes of a portal form */
    LIMIT_HTTP_BODY_MAIL = 2 * 1024 * 1024, /* bytes of a message to learn from */
    LIMIT_HTTP_HEADERS = 64,                /* header lines of one request */
    LIMIT_HTTP_CONNECTIONS = 8192,          /* open at once on one listener */
    LIMIT_HTTP_PER_ADDRESS = 1024,          /* of them of one peer address, default */
    LIMIT_HTTP_RATE_ADDRESSES = 16 * 1024,  /* peer addresses whose rate is remembered */
    LIMIT_HTTP_HEAD_S = 120, /* seconds for a request's headers, from connection or last reply */
    LIMIT_HTTP_CONNECTION_MEMORY = 16 * 1024, /* bytes for a connection's request line, headers */
    LIMIT_HTTP_IDLE_S = 75,                   /* seconds before an idle connection is closed */
    LIMIT_HTTP_RESPONSE = 16 * 1024 * 1024,   /* bytes of a reply */
    LIMIT_HTTP_DISCARD = 1024 * 1024,         /* bytes read past a body's limit to say 413 */
    LIMIT_HTTP_BODIES = 512 * 1024 * 1024,    /* bytes of all bodies held at once by a server */
    LIMIT_HTTP_KEPT_BODIES = 2,               /* memory of large bodies that is kept for the next */
    LIMIT_HTTP_KEPT_BODY = 16 * 1024 * 1024,  /* bytes of one */
    LIMIT_HTTP_REQUEST_S = 300,               /* seconds a body may take to arrive */
    LIMIT_HTTP_ARENA = 16 * 1024 * 1024,      /* bytes of a request's arena */
    LIMIT_HTTP_CERTIFICATES = 8,              /* certificates a TLS client may hand over */
    LIMIT_HTTP_MULTI = 2000,                  /* requests in flight of one http_multi_t */
    LIMIT_SESSIONS = 10 * 1000,               /* people signed in at once */

    /* Documents */
    LIMIT_PLIST_DEPTH = 32,              /* nested containers */
    LIMIT_PLIST_BYTES = 2 * 1024 * 1024, /* bytes of XML */
    LIMIT_PLIST_TREE = 16 * 1024 * 1024, /* bytes of memory for the tree */
    LIMIT_PLIST_NODES = 200 * 1000,      /* values */
    LIMIT_JSON_DEPTH = 32,
    LIMIT_JSON_BYTES = 1024 * 1024,
    LIMIT_CONFIG_BYTES = 256 * 1024, /* bytes of coffer.conf */

    /* Cryptographic objects */
    LIMIT_CMS_BYTES = 4 * 1024 * 1024, /* bytes of a CMS message held in memory */
    LIMIT_CMS_CERTIFICATES = 16,       /* certificates in one SignedData */
    LIMIT_CMS_SIGNERS = 1,             /* SCEP and MDM have exactly one */
    LIMIT_CMS_RECIPIENTS = 8,
    LIMIT_CMS_DIGESTS = 8, /* digest algorithms of one SignedData; each hashes all the content */
    LIMIT_CMS_DEPTH = 32,  /* nested BER elements; a certificate needs about 14 */
    LIMIT_CMS_ELEMENTS = 64 * 1024, /* BER elements; indefinite content has many chunks */
    LIMIT_DER_DEPTH = 24, /* nested DER elements of a certificate or message in strict DER */
    LIMIT_CERTIFICATE_BYTES = 64 * 1024,
    LIMIT_SERIAL_BYTES = 64,            /* RFC 5280 says 20; foreign CAs differ */
    LIMIT_EXTENSIONS = 64,              /* extensions of one certificate or request */
    LIMIT_EKUS = 64,                    /* extended key usages of one certificate or request */
    LIMIT_CSR_ATTRIBUTES = 16,          /* attributes of one request */
    LIMIT_PEM_LIST = 256,               /* certificates of one PEM file */
    LIMIT_CRL_BYTES = 64 * 1024 * 1024, /* bytes; about a million entries */
    LIMIT_OCSP_BODY = 128 * 1024,       /* bytes that are read in order to answer as OCSP says */
    LIMIT_OCSP_REQUEST = 16 * 1024,     /* bytes; one certificate takes about 80 */
    LIMIT_OCSP_CERTIDS = 64,            /* certificates asked for in one OCSP request */
    LIMIT_OCSP_NONCE = 128,             /* bytes, RFC 9654 section 2.1 */
    LIMIT_CRL_URL = 512,                /* bytes of a URL in certificates and lists */
    LIMIT_OCSP_CACHE = 1024 * 1024 * 2, /* signed statuses kept in memory */
    LIMIT_CSR_BYTES = 64 * 1024,
    LIMIT_SAN_ENTRIES = 100, /* names in one certificate or request */
    LIMIT_SUBJECT_ENTRIES = 32,
    LIMIT_RSA_BITS_MIN = 2048,
    LIMIT_RSA_BITS_MAX = 8192, /* verification of a larger modulus is a denial of service */
    LIMIT_CHAIN_DEPTH = 5,
    LIMIT_KEY_BYTES = 16 * 1024,           /* bytes of an encoded key; RSA-8192 takes 5 KB */
    LIMIT_PBKDF2_ITERATIONS = 2000 * 1000, /* about a second; a foreign file names the number */
    LIMIT_SECRET_BYTES = 64 * 1024,        /* bytes of one secret_t */
    LIMIT_SCEP_TRANSACTION_ID = 256,       /* bytes; an opaque text */
    LIMIT_SCEP_CHALLENGE = 128,            /* bytes of a challenge password */
    LIMIT_SCEP_CRL = 256 * 1024,    /* bytes of a list given by GetCRL; about 7,000 entries */
    LIMIT_DEVICE_CAS = 16,          /* generations of the device CA */
    LIMIT_CERT_ID_BYTES = 8 * 1024, /* bytes of issuer and subject, or issuer and serial */
    LIMIT_SCEP_RENEWALS = 8,        /* certificates that one certificate may be renewed to */
    LIMIT_SCEP_CHAIN = 64,          /* renewals looked back to find a device's pinned one */
    LIMIT_SCEP_PENDING = 10000,     /* requests waiting for approval */
    LIMIT_SCEP_REASON = 200,        /* bytes of a denial's reason */
    LIMIT_SCEP_TRACE = 20000,       /* traced requests kept in all */
    LIMIT_SCEP_TRACE_EACH = 50,     /* and of one enrolment, key or address */
    LIMIT_SCEP_TRACE_TEXT = 300,    /* bytes of a traced text, cut beyond */

    /* ipc: one SOCK_SEQPACKET message */
    LIMIT_FRAME_BYTES = 384 * 1024, /* bytes; a SCEP body and room around it */
    LIMIT_FRAME_IN_FLIGHT = 256,    /* requests of one client not yet answered */
    LIMIT_FRAME_ERROR = 1024,       /* bytes of an error's text in a reply */

    /* People and log-in */
    LIMIT_EMAIL = 254,           /* bytes, RFC 5321 section 4.5.3.1.3 less the brackets */
    LIMIT_NAME = 200,            /* bytes of a person's, profile's or organisation's name */
    LIMIT_PASSWORD_MIN = 10,     /* bytes */
    LIMIT_PASSWORD_MAX = 1024,   /* bytes */
    LIMIT_LOGINS_CONCURRENT = 2, /* Argon2id computations at once (64 MiB each) */
    LIMIT_LOGINS_WAITING = 6, /* further ones that may wait, each holding a worker; else "busy" */
    LIMIT_LOGIN_FAILURES = 5, /* of one account, from wherever, before the delay begins:
                                 a stranger can delay a person's log-in */
    LIMIT_LOGIN_TOKEN_S = 90 * 86400, /* seconds a token may last that a log-in made */
    LIMIT_TOKENS_PERSON = 100,        /* tokens of one person, when a log-in makes one more */
    LIMIT_LOGIN_DELAY_MAX_S = 900,    /* seconds; doubles from 1 */

    /* LDAP directories: what a server may send, and how long it may take */
    LIMIT_LDAP_URLS = 8,                   /* servers of one directory */
    LIMIT_LDAP_DN = 2048,                  /* bytes of a distinguished name */
    LIMIT_LDAP_RDNS = 64,                  /* parts of one */
    LIMIT_LDAP_FILTER = 8 * 1024,          /* bytes of a filter with its values filled in */
    LIMIT_LDAP_FILTER_DEPTH = 16,          /* nested parentheses of a configured filter */
    LIMIT_LDAP_MESSAGE = 16 * 1024 * 1024, /* bytes of one LDAP message; a large group is one */
    LIMIT_LDAP_ENTRY = 32 * 1024 * 1024,   /* bytes of memory for one entry */
    LIMIT_LDAP_ATTRIBUTES = 64,            /* attributes of an entry; we ask for less */
    LIMIT_LDAP_VALUES = 100 * 1000,        /* values of one attribute: members of a group */
    LIMIT_LDAP_VALUE = 64 * 1024,          /* bytes of one value; a certificate's limit */
    LIMIT_LDAP_PEOPLE = 100 * 1000,        /* people of one directory */
    LIMIT_LDAP_PEOPLE_BYTES = 128 * 1024 * 1024, /* bytes of them all */
    LIMIT_LDAP_PAGES = 100 * 1000,               /* pages of one search */
    LIMIT_LDAP_GROUPS = 1000,                    /* groups of one person that are shown */
    LIMIT_LDAP_ROLE_GROUPS = 16,                 /* groups that give a role */
    LIMIT_LDAP_CERTIFICATES = 64,                /* certificates found for one address */
    LIMIT_LDAP_EXTERNAL_ID = 128,                /* bytes of an entry's lasting id */
    LIMIT_LDAP_CALLS = 4,                        /* requests to the directory at once; each holds a
                                                    request worker, and the rest stay for devices */
    LIMIT_LDAP_SYNC_S = 600,                     /* seconds for reading all people */

    /* Devices */
    LIMIT_DEVICE_ID = 128,                /* bytes of UDID, EnrollmentID and the like */
    LIMIT_DEVICE_ATTRIBUTE = 256,         /* bytes of PRODUCT, SERIAL, ... */
    LIMIT_TOKEN = 256,                    /* bytes of a push token */
    LIMIT_PUSH_MAGIC = 256,               /* bytes */
    LIMIT_UNLOCK_TOKEN = 32 * 1024,       /* bytes; Apple's have a few thousand */
    LIMIT_QUEUE = 1000,                   /* open commands of one device */
    LIMIT_COMMAND_BYTES = 1024 * 1024,    /* bytes of one command plist */
    LIMIT_RESULT_BYTES = 2 * 1024 * 1024, /* bytes of one result kept */
    LIMIT_PROFILE_BYTES = 1024 * 1024,    /* bytes of one configuration profile */
    LIMIT_ERROR_CHAIN = 16,               /* entries */
    LIMIT_PAYLOADS = 256,                 /* payloads of one configuration profile */
    LIMIT_CHALLENGE_TTL_S = 3600,         /* seconds a SCEP challenge lives, default */
    LIMIT_ENROL_TTL_S = 3600,             /* seconds an over-the-air enrolment may take */
    LIMIT_COMMAND_MESSAGE = 1024,         /* bytes of a lock message */
    LIMIT_DEVICE_INFO = 128 * 1024,       /* bytes of JSON kept of what a device said of itself */

    /* Push and jobs */
    LIMIT_APNS_PAYLOAD = 4096, /* bytes */
    LIMIT_APNS_STREAMS = 500,  /* requests in flight on the one connection */
    LIMIT_JOB_ATTEMPTS = 20,
    LIMIT_JOB_BATCH = 256, /* jobs taken at once */

    /* Notices */
    LIMIT_NOTICE_KEY = 160,             /* bytes of what makes a notice itself */
    LIMIT_NOTICE_SUBJECT = 200,         /* bytes */
    LIMIT_NOTICE_TEXT = 128 * 1024,     /* bytes of a notice's text */
    LIMIT_NOTICE_RECIPIENTS = 64,       /* admins, and webhooks, that coffer.conf may name */
    LIMIT_WEBHOOK_RESPONSE = 64 * 1024, /* bytes of an answer; nothing of it is used */

    /* Expiry watch */
    LIMIT_EXPIRY_THRESHOLDS = 16,      /* days before expiry at which notices go */
    LIMIT_EXPIRY_BRAKE = 100 * 1000,   /* certificates noticed in one run, at most settable */
    LIMIT_EXPIRY_JUMP_S = 2 * 86400,   /* seconds the wall clock may run ahead of ours */
    LIMIT_EXPIRY_GAP_S = 60 * 86400,   /* seconds between two runs, the courier off meanwhile */
    LIMIT_EXPIRY_PAST_S = 30 * 86400,  /* seconds after expiry that are still worth a notice */
    LIMIT_EXPIRY_LINES = 200,          /* certificates told one by one in a mail */
    LIMIT_WATCH_CONF = 200,            /* [watch] sections */
    LIMIT_WATCH_SOURCES = 2000,        /* watched sources in all */
    LIMIT_WATCH_TARGET = 500,          /* bytes of a target */
    LIMIT_WATCH_CERTIFICATES = 256,    /* certificates of one source */
    LIMIT_WATCH_BYTES = 1024 * 1024,   /* bytes read of one source */
    LIMIT_WATCH_PROBE_MS = 10 * 1000,  /* from look-up to the certificate */
    LIMIT_WATCH_THREADS = 8,           /* sources probed at once */
    LIMIT_WATCH_UNREACHABLE_S = 86400, /* seconds away before admins are told */
    LIMIT_STARTTLS_LINE = 1024,        /* bytes of a line before STARTTLS */
    LIMIT_STARTTLS_LINES = 100,        /* lines before STARTTLS */
    LIMIT_ACTIONS = 16,                /* [action] sections */
    LIMIT_ACTION_S = 600,              /* seconds a program may take, at most settable */
    LIMIT_ACTION_OUTPUT = 8 * 1024,    /* bytes kept of what it prints; the rest is dropped */
    LIMIT_ACTION_RUNS = 1000,          /* runs kept to be seen */

    /* Store */
    LIMIT_DB_BATCH = 512,      /* requests in one group commit */
    LIMIT_DB_QUEUE = 8192,     /* writes waiting; past that "busy" */
    LIMIT_LIST_PAGE = 1000,    /* rows of one API answer */
    LIMIT_DB_PARAMETERS = 64,  /* parameters of one statement */
    LIMIT_DB_STATEMENTS = 512, /* prepared statements kept by one connection */

    /* Keeper */
    LIMIT_KEEPER_OBJECT = 400,       /* bytes of a log entry's object, cut beyond */
    LIMIT_KEEPER_OUTCOME = 200,      /* bytes of a log entry's outcome, cut beyond */
    LIMIT_KEEPER_OWNER = 256,        /* bytes of whom a certificate is for */
    LIMIT_KEEPER_NAMES = 16 * 1024,  /* bytes of the subjectAltNames asked for */
    LIMIT_KEEPER_KIND = 64,          /* bytes of a secret's kind */
    LIMIT_KEEPER_SECRET = 64 * 1024, /* bytes of a secret to seal (unlock tokens are largest) */
    LIMIT_KEEPER_RELEASES = 10,      /* commands of one device given a secret in 24 hours, a kind */
    LIMIT_KEEPER_REDELIVERIES = 4,   /* times that, counting commands delivered again */
    LIMIT_KEEPER_TAKES = 20,         /* secrets taken from one device in 24 hours, a kind */
    LIMIT_KEEPER_TAKES_ALL = 20000,  /* from all devices, unless [keeper] takes_per_day says so */
    LIMIT_KEEPER_TAKES_MAX = 10000000,         /* what that may say */
    LIMIT_KEEPER_RELEASES_ALL = 5000,          /* releases to all devices in 24 hours, a kind */
    LIMIT_KEEPER_MAIL_OPENS = 1000,            /* messages of one person decrypted in an hour */
    LIMIT_KEEPER_MAIL_RENEW_S = 60 * 86400,    /* seconds before a gateway key's end: a new one */
    LIMIT_KEEPER_NONCE = 64,                   /* bytes of a SCEP senderNonce; 16 by the standard */
    LIMIT_KEEPER_FAIL_TEXT = 512,              /* bytes of a failInfoText */
    LIMIT_KEEPER_LOG_PAGE = 128 * 1024,        /* bytes of one answer to KEEPER_LOG */
    LIMIT_KEEPER_CRL_BUILDS = 4,               /* revocation lists in the making at once */
    LIMIT_KEEPER_CRL_BUILD_S = 300,            /* seconds one may take */
    LIMIT_KEEPER_OCSP_BATCH = 1000,            /* statuses signed by one request */
    LIMIT_KEEPER_OCSP_LIFETIME_S = 14 * 86400, /* seconds a status may be good */
    LIMIT_KEEPER_CRL_LIFETIME_S = 90 * 86400,  /* seconds a list may be good */
    LIMIT_KEEPER_ORGANISATION = 64, /* bytes; ub-organization-name, RFC 5280 appendix A.1 */

    /* Escrow */
    LIMIT_ESCROW_KIND = 32,        /* bytes of an escrow object's kind */
    LIMIT_ESCROW_OWNER = 128,      /* bytes of a person's id */
    LIMIT_ESCROW_OFFICER = 64,     /* bytes of an officer's id */
    LIMIT_ESCROW_MAILBOXES = 2048, /* bytes of a person's mail addresses in a consent */
    LIMIT_ESCROW_LABEL = 128,      /* bytes of what an officer's key says of itself */
    LIMIT_ESCROW_OFFICERS = 32,    /* officers in one set */
    LIMIT_ESCROW_SECRET =
        32 * 1024,              /* bytes of one secret: a PKCS#8 key, an unlock token, a file */
    LIMIT_ESCROW_REASON = 1024, /* bytes of a recovery request's reason */
    LIMIT_ESCROW_TICKET = 128,  /* bytes of its ticket */
    LIMIT_ESCROW_OPEN_REQUESTS = 1000,   /* recovery requests that wait at once */
    LIMIT_ESCROW_REQUEST_S = 30 * 86400, /* seconds a recovery request may wait */
    LIMIT_ESCROW_BATCH = 256,            /* objects in one batch to the keeper */
    LIMIT_STORAGE_KEYS = 64,             /* storage keys of one vault */
    LIMIT_ESCROW_REDEAL_BATCH = 100,     /* objects in one contribution to a re-dealing */
    LIMIT_ESCROW_SAMPLE_DAY = 200,       /* own shares handed to an officer for drills, a day */
    LIMIT_ESCROW_RECORD = 128 * 1024,    /* bytes of one encoded record, a contribution apart */
    LIMIT_ESCROW_REDEAL = 512 * 1024,    /* bytes of one contribution */
    LIMIT_ESCROW_PAYLOADS = 32,          /* keys of one person delivered in one profile */
    LIMIT_MAIL_CONSENT_S = 7 * 86400,    /* seconds that officers' consent to a device may wait */
    LIMIT_ESCROW_DELIVERIES = 20,        /* profiles with a person's keys in 24 hours */
    LIMIT_ESCROW_DELIVERIES_ALL = 5000,  /* such profiles in 24 hours, all people together */
    LIMIT_ESCROW_IMPORT_TRIES = 10,      /* wrong passwords of imported files, an hour and owner */
    LIMIT_LEASE_KEY = 512,               /* bytes of a sealed lease key */
    LIMIT_LEASE_ACCOUNT = 128,           /* bytes of an account's name */
    LIMIT_LEASE_LIFE_S = 7 * 86400,      /* seconds a lease may live */
    LIMIT_LEASE_EPOCH_FIRST_BITS = 40,   /* a first epoch is at most 2^40: seconds since 1970 fit */
    LIMIT_LEASE_EPOCH_STEP = 1 << 20,    /* a renewal's epoch is at most so much higher */
    LIMIT_LEASE_RELEASES = 60,           /* releases of one lease in an hour */
    LIMIT_LEASE_EVENT = 64,              /* bytes of the name of what a release is for */
    LIMIT_LEASE_EVENTS = 64,             /* such events of one lease that wait at once */
    LIMIT_LEASE_AGAIN_S = 600,           /* seconds a release may be asked again for its event */
    LIMIT_LEASES_DEVICE = 32,            /* leases of one device */
    LIMIT_TOKEN_OFFERS = 4,              /* tokens a device was told and has not confirmed */
    LIMIT_LEASE_ASKED = 60,              /* requests of one device at once; then one a second */

    /* Mail that arrives while a device is locked */
    LIMIT_ARRIVAL_HOOK = 256 * 1024,  /* bytes of what a mail server's hook says */
    LIMIT_ARRIVAL_NOTICES = 1000,     /* of Microsoft Graph in one request */
    LIMIT_ARRIVAL_STATE = 128,        /* bytes of their clientState (Graph's own limit) */
    LIMIT_ARRIVAL_SUBSCRIPTION = 128, /* bytes of a subscription's id */
    LIMIT_ARRIVAL_RESOURCE = 1024,    /* bytes of a message's id */
    LIMIT_ARRIVAL_VALIDATION = 1024,  /* bytes of Graph's validation token */
    LIMIT_ARRIVAL_PLACES = 64,        /* places in which such ids are remembered, of a mailbox */
    LIMIT_ARRIVAL_FOLDER = 255,       /* bytes of a folder's name */
    LIMIT_ARRIVAL_FOLDERS = 1000,     /* folders of one mailbox that are remembered */
    LIMIT_ARRIVAL_UID_STEP = 1 << 20, /* a UID so far below the last one heard is no old news */
    LIMIT_ARRIVAL_DEVICES = 16,       /* devices told of one mailbox */
    LIMIT_ARRIVAL_KEEP_S = 7 * 86400, /* seconds that events are kept for devices that are away */
    LIMIT_ARRIVAL_MAILBOXES = 100000, /* mailboxes that are watched */
    LIMIT_ARRIVAL_HOOKS = 64,         /* mail servers that tell */
    LIMIT_MAILBOX_SERVER = 300,       /* bytes of imaps://host:port */
    LIMIT_MAILBOX_SEALED = 4096,      /* bytes of a sealed password */
    LIMIT_IMAP_LINE = 8192,           /* bytes of a line of an IMAP server */
    LIMIT_IMAP_LITERAL = 64 * 1024,   /* bytes of a literal; none is asked for */
    LIMIT_IMAP_LINES = 100 * 1000,    /* lines in answer to one command */
    LIMIT_IMAP_MINUTE = 4 * 1024 * 1024, /* bytes of one mailbox's server in a minute */
    LIMIT_XML_DEPTH = 24,                /* elements in elements of a streamed document */
    LIMIT_XML_TEXT = 8192,               /* bytes of text in one element of it */
    LIMIT_XML_DOCUMENT = 1024 * 1024,    /* bytes of one document of a stream */
    LIMIT_HTTP_ANSWER_LINE = 8192,       /* bytes of a line in the head of a mail server's answer */
    LIMIT_HTTP_ANSWER_LINES = 100,       /* such lines */
    LIMIT_HTTP_ANSWER_COOKIE = 512,      /* bytes of a cookie that it wants back */
    LIMIT_EWS_SUBSCRIPTION = 512,        /* bytes of the id of a subscription at Exchange */
    LIMIT_EWS_NEWS = 16,                 /* messages remembered until they are told of */
    LIMIT_EWS_ASKS = 20,                 /* requests in a minute, of one mailbox */
    LIMIT_EWS_PAUSE_S = 3600,            /* seconds that a busy server may have us wait */
    LIMIT_STREAMS = 6000,                /* streams held at once; connections are more */
    LIMIT_STREAMS_DEVICE = 4,            /* of one device: the oldest ends for a fifth */
    LIMIT_STREAM_BYTES = 64 * 1024, /* bytes that wait for a device that is slow to take them */
    LIMIT_STREAM_BACKLOG = 500,     /* events that a device catches up on; then it looks itself */
    LIMIT_STREAM_LIFE_S = 3600,     /* seconds; then it shows again who it is */

    /* Backups */
    LIMIT_BACKUP_CHUNKS = 1024 * 1024,         /* chunks of one backup: 64 GiB */
    LIMIT_BACKUP_FILES = 10 * 1000,            /* files of one backup */
    LIMIT_BACKUP_PATH = 512,                   /* bytes of a file's path inside the instance */
    LIMIT_BACKUP_LABEL = 200,                  /* bytes of whose backup it says it is */
    LIMIT_BACKUP_HEAD = 256 * 1024,            /* bytes of a backup's head */
    LIMIT_BACKUP_INDEX = 64 * 1024 * 1024,     /* bytes of its list of files */
    LIMIT_BACKUP_MANIFEST = 192 * 1024 * 1024, /* bytes of all of that and the list of chunks */
    LIMIT_BACKUP_KEPT = 4096,                  /* backups in one directory */

    /* Sync */
    LIMIT_SYNC_NAME = 128,           /* bytes of a device's name */
    LIMIT_SYNC_PERSON = 128,         /* bytes of a person's id */
    LIMIT_SYNC_DEVICES = 4096,       /* devices that one chain ever named */
    LIMIT_SYNC_CHAIN = 64 * 1024,    /* entries of one chain */
    LIMIT_SYNC_ENTRY = 4096,         /* bytes of one entry */
    LIMIT_SYNC_KEY_FILE = 8 * 1024,  /* bytes of a device's key file */
    LIMIT_SYNC_PARENTS = 8,          /* versions that one version replaces */
    LIMIT_SYNC_META = 2048,          /* bytes of a version's sealed metadata */
    LIMIT_SYNC_FILE_NAME = 255,      /* bytes of a name in a folder: what Linux takes */
    LIMIT_SYNC_FOLD = 2048,          /* bytes of a name's key; folding can swell a name */
    LIMIT_SYNC_LINK_TARGET = 4095,   /* bytes a symbolic link points to */
    LIMIT_SYNC_ENTRIES = 4096,       /* entries of one folder node; longer folders have pages */
    LIMIT_SYNC_FOLDER = 4194304,     /* bytes of one folder node */
    LIMIT_SYNC_PAGES = 4,            /* pages within pages of one folder */
    LIMIT_SYNC_DEPTH = 128,          /* folders within folders */
    LIMIT_SYNC_WIPE = 268435456,     /* bytes of names when a folder is emptied */
    LIMIT_SYNC_PACKED = 4096,        /* files of one pack */
    LIMIT_SYNC_PACK = 8388608,       /* bytes of one pack's files */
    LIMIT_SYNC_CHANGES = 64 * 1024,  /* packages that one commit adds and drops */
    LIMIT_SYNC_LINK_FILES = 4096,    /* files of one link */
    LIMIT_SYNC_LINK_BYTES = 4194304, /* bytes of one link's list */
    LIMIT_SYNC_DELIVERY = 4096,      /* bytes of a delivered key */
    LIMIT_SYNC_ORIGIN = 280,         /* bytes of "https://HOST:PORT" */
    LIMIT_SYNC_LINK_LABEL = 512,     /* bytes of what a link is of */
    LIMIT_SYNC_LINK_TERMS = 4587520, /* bytes of a link's terms, with its list */
    LIMIT_SYNC_LINK_LIFE_S = 366 * 86400, /* seconds a link may live */
    LIMIT_SYNC_LINK_WRONG = 20,           /* wrong passwords before a link ends */
    LIMIT_SYNC_LINK_TICKET_S = 3600,      /* seconds an opened link's data may be fetched for */
    LIMIT_SYNC_LINK_TICKETS = 1024,       /* openings of one link that are good at once */
    LIMIT_SYNC_LINK_KEPT_S = 7 * 86400,   /* seconds an ended link is still listed */
    LIMIT_SYNC_LINKS = 10000,             /* links of one region */
    LIMIT_SYNC_MEMBERS = 1024,            /* members of one share */
    LIMIT_SYNC_MEMBERS_RECORD = 525312,   /* bytes of their signed record */
    LIMIT_SYNC_MEMBERS_BYTES = 524288,    /* bytes of the list of them */
    LIMIT_NOTE_BYTES = 64 * 1024,         /* bytes of a signed note */
    LIMIT_NOTE_SIGNATURES = 64,           /* signatures of one */
    LIMIT_NOTE_NAME = 255,                /* bytes of a note key's name */
    LIMIT_SYNC_PART = 8388970,            /* bytes of the largest part of a data package */
    LIMIT_SYNC_ASKED = 4096,              /* ids or keys in one request */
    LIMIT_SYNC_PACKAGES = 512,            /* signature packages in one */
    LIMIT_SYNC_ANSWER = 8388608,          /* bytes of records in one answer, and one record more */
    LIMIT_SYNC_REGIONS = 256,             /* regions that one person has devices in */
    LIMIT_SYNC_JOINS = 64,                /* devices that want into one region at once */
    LIMIT_SYNC_CHAINS = 1024,             /* chains that the service holds in memory */
    LIMIT_SYNC_WAITERS = 8192,            /* requests that wait for events */
    LIMIT_SYNC_WAITERS_REGION = 256,      /* of them of one region */
    LIMIT_SYNC_HOLDS = 1000,              /* legal holds */
    LIMIT_SYNC_ALLOWED = 4096,            /* names at the top that a device is left with */
    LIMIT_SYNC_POLICIES = 256,            /* sections [sync_policy NAME] */
    LIMIT_SYNC_MISSING = 100,             /* packages that a refusal names */
    /* Blobs and where they are kept */
    LIMIT_BLOB = 16 * 1024 * 1024,        /* bytes of one blob */
    LIMIT_BLOB_OBJECT = 17 * 1024 * 1024, /* bytes of its sealed form */
    LIMIT_BLOB_PAGE = 1000,               /* objects in one page of a listing */
    LIMIT_BLOB_FAN = 1024 * 1024,         /* objects in one directory of a store */
    LIMIT_BLOB_STORES = 16,               /* stores of one instance */
    LIMIT_BLOB_OWNER = 128,               /* bytes of what refers to a blob */
    LIMIT_S3_ANSWER = 4 * 1024 * 1024,    /* bytes of an XML answer */
    LIMIT_S3_DEPTH = 16,                  /* elements within elements of one */
    LIMIT_S3_TEXT = 4096,                 /* bytes of one element's text */
    LIMIT_S3_TRIES = 10,                  /* tries of one request */
    LIMIT_S3_CREDENTIALS = 4096,          /* bytes of a credentials' file */
    LIMIT_S3_CLIENTS = 4,                 /* connections to one store, an object's memory each */

    /* Audit log */
    LIMIT_AUDIT_NODE = 128,         /* bytes of a chain's name */
    LIMIT_AUDIT_FIELD = 512,        /* bytes of actor, action, object each */
    LIMIT_AUDIT_DETAIL = 16 * 1024, /* bytes of an entry's JSON text */
    LIMIT_AUDIT_LINE = 256 * 1024,  /* bytes of an export's line; escapes can swell a detail 6x */
    LIMIT_AUDIT_KEYS = 64,          /* public keys in one export */
    LIMIT_AUDIT_PINS = 1024,

    /* Mail */
    LIMIT_CMS_REST = 4 * 1024 * 1024,      /* bytes of a streamed CMS message that aren't content */
    LIMIT_CMS_ATTRIBUTES = 64,             /* authenticated attributes of an AuthEnvelopedData */
    LIMIT_CMS_SEGMENTS = 64 * 1024 * 1024, /* pieces that content comes in */
    LIMIT_MAIL_SIGNERS = 16,               /* signers of one SignedData */
    LIMIT_MAIL_RECIPIENTS = 10000,         /* recipientInfos of one message */
    LIMIT_TNEF_ATTACHMENTS = 1000,         /* in one winmail.dat */
    LIMIT_TNEF_ATTRIBUTE = 256 * 1024,     /* bytes of an attribute that names things */
    LIMIT_TNEF_PROPERTIES = 4096,          /* MAPI properties of an attachment */
    LIMIT_TNEF_NAME = 1024,                /* bytes of a file name as it is encoded */
    LIMIT_MIME_DEPTH = 20,                 /* parts within parts */
    LIMIT_MIME_PARTS = 10000,              /* parts of one message, all levels */
    LIMIT_MIME_HEADER = 256 * 1024,        /* bytes of one part's header block */
    LIMIT_MIME_HEADERS = 1000,             /* fields of one block */
    LIMIT_MIME_HEADERS_ALL = 8 * 1024 * 1024, /* bytes of all header blocks of one message */
    LIMIT_MIME_PARAMETERS = 64,               /* parameters of one Content-Type */
    LIMIT_MIME_PARAMETER = 8 * 1024,          /* bytes of one parameter, put together */
    LIMIT_MIME_BOUNDARY = 70,                 /* bytes; RFC 2046 section 5.1.1 */
    LIMIT_TRANSFER_CARRY = 8192,              /* bytes a decoder may hold back */
    LIMIT_TRANSFER_SPACES = 8000,             /* blanks at a line's end that it remembers */
    LIMIT_MAIL_ADDRESSES = 10000,             /* addresses in one field */
    LIMIT_MAIL_CAPABILITIES = 64,             /* entries of one SMIMECapabilities */
    LIMIT_MAIL_CANDIDATES = 256,              /* certificates known for one address */
    LIMIT_MAIL_GROUP_DEPTH = 8,               /* groups in groups */
    LIMIT_MAIL_POLICIES = 500,                /* sections of mail_policy in coffer.conf */
    LIMIT_GATE_ARENA = 32 * 1024 * 1024,      /* bytes of what is known about one message */
    LIMIT_GATE_PASSES = 5,                    /* own trace fields: more is a loop */
    LIMIT_GATE_HOPS = 100,                    /* Received fields: more is a loop */
    LIMIT_GATE_OPENED = 64,                   /* people for whom one message is decrypted */
    LIMIT_GATE_REPORTS = 20,                  /* messages reported as spam in one mail */
    LIMIT_GATE_RECIPIENTS = 10000,            /* of one envelope */
    LIMIT_MAIL_GROUP = 5000,                  /* members of one */
    LIMIT_MAIL_CHAIN = 32 * 1024,             /* bytes of CA certificates kept with a learned one */
    LIMIT_MAIL_UNTRUSTED = 10000,             /* certificates kept of signers nobody trusts */
    LIMIT_MAIL_UNTRUSTED_EACH = 4,            /* and of one address */
    LIMIT_MAIL_TRUST = 1000,                  /* CAs and certificates that admins trust */
    LIMIT_MAIL_LISTS = 256,                   /* revocation lists of foreign CAs */
    LIMIT_MBOX_LINE = 1000,                   /* bytes of a From line of a mailbox file */
    LIMIT_MAIL_ASKED = 1000,                  /* addresses of one request to the API */

    /* SMTP; RFC 5321 section 4.5.3.1 has the least that must be taken */
    LIMIT_SMTP_COMMAND = 2048,          /* bytes of a command line with its CR LF */
    LIMIT_SMTP_PARAMETERS = 16,         /* parameters of MAIL or RCPT */
    LIMIT_SMTP_ADDRESS = 320,           /* bytes of an address */
    LIMIT_SMTP_XTEXT = 500,             /* bytes of ORCPT (RFC 3461 section 4.2) */
    LIMIT_SMTP_ENVID = 100,             /* bytes of ENVID (RFC 3461 section 4.4) */
    LIMIT_SMTP_FORWARD = 255,           /* bytes of a value of XFORWARD */
    LIMIT_SMTP_RECIPIENTS = 10000,      /* that a configuration may allow for one message */
    LIMIT_SMTP_LINE = 64 * 1024,        /* bytes of a line of a message */
    LIMIT_SMTP_ENVELOPE = 8192 * 1024,  /* bytes of all addresses and parameters of one message */
    LIMIT_SMTP_ERRORS = 20,             /* bad commands of one connection */
    LIMIT_SMTP_REPLY_LINE = 2048,       /* bytes of one line of a next hop's reply */
    LIMIT_SMTP_REPLY = 16 * 1024,       /* bytes of one reply, all lines */
    LIMIT_SMTP_OUT = 256 * 1024,        /* bytes of replies that a client hasn't read */
    LIMIT_MAILGATE_LEDGER = 200 * 1000, /* recipients remembered as done, for senders' retries */

    /* Keybags */
    LIMIT_PASSCODE_MIN = 6, /* bytes of a passcode */

    /* The mailbox on a device */
    LIMIT_BOX_MESSAGE = 32 * 1024 * 1024,       /* bytes of a message that is kept */
    LIMIT_BOX_BATCH = 4 * 1024 * 1024,          /* bytes fetched at once, or one message */
    LIMIT_BOX_ANSWER = LIMIT_BOX_MESSAGE * 2,   /* bytes of one answer of a server */
    LIMIT_BOX_MESSAGES = 1000 * 1000,           /* messages of one folder */
    LIMIT_BOX_FOLDERS = 1000,                   /* folders of one account */
    LIMIT_BOX_FOLDER = 1024,                    /* bytes of a folder's name */
    LIMIT_BOX_INBOX = 10 * 1000,                /* mails that wait for an unlock */
    LIMIT_BOX_INBOX_BYTES = 1000 * 1000 * 1000, /* bytes of them */
    LIMIT_BOX_DISK_LEFT = 256 * 1024 * 1024,    /* bytes of disk that they leave free */
    LIMIT_BOX_QUERY = 1024,                     /* bytes of what is searched for */
    LIMIT_BOX_TEXT = 64 * 1024,           /* bytes of a plain message's text that is searched */
    LIMIT_BOX_COMMAND = 16 * 1024 * 1024, /* bytes of a command to the agent */
    LIMIT_BOX_REPLY = 64 * 1024 * 1024,   /* bytes of its answer */
    LIMIT_BOX_DRAFT = 256 * 1024,         /* bytes of a reply that is being written */
    LIMIT_BOX_ROWS = 1000,                /* messages of one list */
};

#endif
