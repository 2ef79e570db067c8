"""A real OpenLDAP server in a directory of its own, run by whoever runs the tests; its data is an LDIF."""

import base64
import datetime
import ipaddress
import pathlib
import shutil
import socket
import subprocess
import time
import uuid

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .instance import PATIENCE, free_ports

BASE = "dc=example,dc=org"
SERVICE = f"cn=coffer,{BASE}"
SERVICE_PASSWORD = "the service's password"
ROOT, ROOT_PASSWORD = f"cn=root,{BASE}", "the root's password"
SLAPD = shutil.which("slapd", path="/usr/sbin:/usr/local/sbin:/sbin:/usr/bin:/bin")

# What Active Directory has and OpenLDAP does not, by its own OIDs.
AD_SCHEMA = """
attributetype ( 1.2.840.113556.1.4.221 NAME 'sAMAccountName' EQUALITY caseIgnoreMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.656 NAME 'userPrincipalName' EQUALITY caseIgnoreMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl' EQUALITY integerMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.2 NAME 'objectGUID' EQUALITY octetStringMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.2.102 NAME 'memberOf' EQUALITY distinguishedNameMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.12 )
objectclass ( 1.2.840.113556.1.5.9 NAME 'user' SUP inetOrgPerson STRUCTURAL
  MAY ( sAMAccountName $ userPrincipalName $ userAccountControl $ objectGUID $ memberOf ) )
objectclass ( 1.2.840.113556.1.3.30 NAME 'computer' SUP user STRUCTURAL )
objectclass ( 1.2.840.113556.1.5.8 NAME 'group' SUP top STRUCTURAL
  MUST cn MAY ( member $ sAMAccountName $ objectGUID ) )
"""

CONF = """
{includes}
pidfile {dir}/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCACertificateFile {dir}/ca.pem
TLSCertificateFile {dir}/cert.pem
TLSCertificateKeyFile {dir}/key.pem
disallow bind_anon
{extra}
database mdb
suffix "{base}"
rootdn "{root}"
rootpw "{password}"
directory {dir}/db
maxsize 268435456
sizelimit size.soft=500 size.hard=500 size.prtotal=unlimited
dbnosync
index objectClass,mail,uid,entryUUID eq
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{service}" {right} by * read
"""


def make_tls(directory, names=("localhost",), addresses=("127.0.0.1",)):
    """A CA and a server certificate: ca.pem, cert.pem, key.pem."""
    def issue(subject, key, issuer, signer, is_ca, extensions=()):
        start = datetime.datetime.utcnow() - datetime.timedelta(days=1)
        builder = (x509.CertificateBuilder()
                   .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
                   .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(start)
                   .not_valid_after(start + datetime.timedelta(days=30))
                   .add_extension(x509.BasicConstraints(is_ca, None), critical=True))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    directory = pathlib.Path(directory)
    ca, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    names = x509.SubjectAlternativeName(
        [x509.DNSName(n) for n in names] + [x509.IPAddress(ipaddress.ip_address(a)) for a in addresses])
    (directory / "ca.pem").write_bytes(issue("Directory CA", ca, "Directory CA", ca, True))
    (directory / "cert.pem").write_bytes(issue("directory", key, "Directory CA", ca, False, [names]))
    (directory / "key.pem").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


def ldif(dn, **attributes):
    """One entry; a value in bytes is written in base64, a list has several values."""
    lines = []
    for name, values in {"dn": dn, **attributes}.items():
        for value in values if isinstance(values, list) else [values]:
            raw = value if isinstance(value, bytes) else str(value).encode()
            lines.append(f"{name.replace('_', ';')}:: {base64.b64encode(raw).decode()}")
    return "\n".join(lines) + "\n\n"


def start_ldif():
    return (ldif(BASE, objectClass=["dcObject", "organization"], dc="example", o="Example")
            + ldif(SERVICE, objectClass=["organizationalRole", "simpleSecurityObject"], cn="coffer",
                   userPassword=SERVICE_PASSWORD)
            + "".join(ldif(f"ou={ou},{BASE}", objectClass="organizationalUnit", ou=ou)
                      for ou in ("people", "groups", "elsewhere")))


class Slapd:
    """`ad`: people are as in Active Directory. Not yet running."""

    def __init__(self, files, ad=False, service_right="write", extra="", **tls):
        self.dir, self.ad = pathlib.Path(files), ad
        self.dir.mkdir(parents=True, exist_ok=True)
        (self.dir / "db").mkdir()
        make_tls(self.dir, **tls)
        schemas = "".join(f"include /etc/ldap/schema/{s}.schema\n"
                          for s in ("core", "cosine", "nis", "inetorgperson"))
        if ad:
            (self.dir / "ad.schema").write_text(AD_SCHEMA)
            schemas += f"include {self.dir}/ad.schema\n"
        (self.dir / "slapd.conf").write_text(CONF.format(
            includes=schemas, dir=self.dir, base=BASE, root=ROOT, password=ROOT_PASSWORD, service=SERVICE,
            right=service_right, extra=extra))
        self.plain_port, self.tls_port = free_ports(2)
        self.process = None
        (self.dir / "bind-password").write_text(SERVICE_PASSWORD + "\n")
        (self.dir / "bind-password").chmod(0o600)
        self.load(start_ldif())

    # ---- life ----

    def load(self, text):
        """Adds entries while it does not run."""
        subprocess.run([SLAPD, "-T", "add", "-q", "-f", self.dir / "slapd.conf"], input=text, text=True,
                       check=True, capture_output=True, timeout=PATIENCE)

    def start(self):
        log = open(self.dir / "slapd.log", "ab")
        self.process = subprocess.Popen(
            [SLAPD, "-d", "256", "-f", self.dir / "slapd.conf", "-h",
             f"ldap://127.0.0.1:{self.plain_port} ldaps://127.0.0.1:{self.tls_port}"],
            stdout=log, stderr=log)
        log.close()
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.tls_port), 1).close()
                return self
            except OSError:
                assert self.process.poll() is None, (self.dir / "slapd.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.01)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(PATIENCE)
            self.process = None

    # ---- as an LDAP client: OpenLDAP's own tools ----

    def _tool(self, name, *args, text=None, expect=0):
        done = subprocess.run(
            [name, "-x", "-H", f"ldap://127.0.0.1:{self.plain_port}", "-D", ROOT, "-w", ROOT_PASSWORD,
             *args], input=text, capture_output=True, text=True, timeout=PATIENCE)
        if expect is not None:
            assert done.returncode == expect, done.stdout + done.stderr
        return done

    def add(self, text):
        self._tool("ldapadd", text=text)

    def modify(self, dn, text):
        self._tool("ldapmodify", text=f"dn: {dn}\nchangetype: modify\n{text}\n")

    def delete(self, dn):
        self._tool("ldapdelete", dn)

    def rename(self, dn, rdn, parent):
        self._tool("ldapmodrdn", "-r", "-s", parent, dn, rdn)

    def values(self, dn, attribute):
        """The values of an attribute, as bytes, by ldapsearch."""
        out = self._tool("ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-s", "base", "-b", dn,
                         "(objectClass=*)", attribute).stdout
        found = []
        for line in out.splitlines():
            name, _, value = line.partition(":")
            if name.partition(";")[0].lower() == attribute.partition(";")[0].lower():
                found.append(base64.b64decode(value[1:]) if value[:1] == ":" else value[1:].encode())
        return found

    # ---- people ----

    def person_ldif(self, uid, mail=None, password="secret of {uid}", **more):
        dn = more.pop("dn", f"uid={uid},ou=people,{BASE}")
        values = dict(objectClass="inetOrgPerson", uid=uid, cn=more.pop("cn", uid.capitalize()), sn=uid,
                      mail=mail or f"{uid}@example.org", userPassword=password.format(uid=uid))
        if self.ad:
            dn = f"cn={values['cn']},ou=people,{BASE}"
            values.update(objectClass="user", sAMAccountName=uid, displayName=values["cn"],
                          userPrincipalName=f"{uid}@ad.example.org", userAccountControl=512,
                          objectGUID=uuid.uuid4().bytes_le)
        return dn, ldif(dn, **{**values, **more})

    def person(self, uid, **more):
        """Adds one while it runs; the DN."""
        dn, text = self.person_ldif(uid, **more)
        self.add(text)
        return dn

    def group(self, name, members):
        dn = f"cn={name},ou=groups,{BASE}"
        kind = "group" if self.ad else "groupOfNames"
        self.add(ldif(dn, objectClass=kind, cn=name, member=members))
        if self.ad:
            for member in members:
                self.modify(member, f"add: memberOf\nmemberOf: {dn}")
        return dn

    def settings(self, **more):
        """[ldap] for coffer.conf."""
        return {"ldap": {"url": f"ldaps://127.0.0.1:{self.tls_port}", "ca": str(self.dir / "ca.pem"),
                         "bind_dn": SERVICE, "bind_password_file": str(self.dir / "bind-password"),
                         "base": BASE, "user_base": f"ou=people,{BASE}", "timeout": "5s",
                         "sync_interval": "0s", "schema": "ad" if self.ad else "rfc2307", **more}}
