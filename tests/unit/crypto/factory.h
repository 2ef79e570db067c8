/*
 * A factory of the old kind, for tests: RSA-1024, SHA-1, expired. The keys guard nothing.
 */
#ifndef COFFER_TESTS_CRYPTO_FACTORY_H
#define COFFER_TESTS_CRYPTO_FACTORY_H

static const char factory_ca_pem[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIICNTCCAZ6gAwIBAgIBATANBgkqhkiG9w0BAQUFADA2MRgwFgYDVQQKDA9FeGFt\n"
    "cGxlIEZhY3RvcnkxGjAYBgNVBAMMEUZhY3RvcnkgRGV2aWNlIENBMB4XDTI2MTEy\n"
    "MjA0NTcwMFoXDTI2MTEyMzA0NTcwMFowNjEYMBYGA1UECgwPRXhhbXBsZSBGYWN0\n"
    "b3J5MRowGAYDVQQDDBFGYWN0b3J5IERldmljZSBDQTCBnzANBgkqhkiG9w0BAQEF\n"
    "AAOBjQAwgYkCgYEApt6R/UvOvbu/jur6LS8H0S9yoomyrYl3gypAsII4BeNVxVxi\n"
    "uxrwaKl3VzQW3qatIxwUXSf0FQIDmbK+b/kGB86XHr8hy+UBcCbZHaWxHVdMn2m/\n"
    "lNoHKeAB9fl6JNUV++6F+O4wQ5j3u7QBT2tMFWHKiBO5vAQclPuWdg7i48sCAwEA\n"
    "AaNTMFEwHQYDVR0OBBYEFFSsnT8Ob7RqiKbzActLfvGNMB0nMB8GA1UdIwQYMBaA\n"
    "FFSsnT8Ob7RqiKbzActLfvGNMB0nMA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcN\n"
    "AQEFBQADgYEAlPAuu9kjES02+aGmNg1TO2e036LsHcPLidW0QqOOG4jBc8v+NXNM\n"
    "YLVW7onF6bg/DM6bN3UWM7jKAfMDvtA+n7sK0XjytA9OqSsid8lrAMKoBnq3VL/J\n"
    "0TBU0LUmgF24z9QMxvNEtRDXzde4czva/U8mwIYQN8cqhYqWrQAcZ5I=\n"
    "-----END CERTIFICATE-----\n";

static const char factory_device_pem[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIByTCCATICAU0wDQYJKoZIhvcNAQEFBQAwNjEYMBYGA1UECgwPRXhhbXBsZSBG\n"
    "YWN0b3J5MRowGAYDVQQDDBFGYWN0b3J5IERldmljZSBDQTAeFw0yNjExMjIwNDU3\n"
    "MDBaFw0yNjExMjMwNDU3MDBaMCQxIjAgBgNVBAMMGTAwMDA4MDMwLTAwMDAwMDAw\n"
    "MDAwMDAwMkUwgZ8wDQYJKoZIhvcNAQEBBQADgY0AMIGJAoGBAPswxdrZWanuyaYP\n"
    "58Tei1RoOc6Ovqj0tIYFJ5Fx4G2DHRGndSLTVMz4ENGp1usfyihBqKxpbmkljYFS\n"
    "3Jonqwn9YI7icMjQREAhe+xUEsdeq4A0ljAGBXfLUoIZ0F/EahZSBAp8ArBD4PHE\n"
    "k2XtTAiFvnnA+O+m/OUFLRO1XkyvAgMBAAEwDQYJKoZIhvcNAQEFBQADgYEAK4sB\n"
    "36EsGgWrU9qZuO4lV7l2nNT28N28b+So8D3QLnJOC+xsgTqC1uuHK7rNIXEi83ix\n"
    "j7HnDQHILpR7Oejmq/ZilKoe6ZQa8y5G8K2wYXF05PuoQvv0Gq1XahJzquePWtYz\n"
    "GU8wGkWIA9xw5M8XbfpybHWHOPrZo2C63ESibtc=\n"
    "-----END CERTIFICATE-----\n";

static const char factory_device_key_pem[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIICeAIBADANBgkqhkiG9w0BAQEFAASCAmIwggJeAgEAAoGBAPswxdrZWanuyaYP\n"
    "58Tei1RoOc6Ovqj0tIYFJ5Fx4G2DHRGndSLTVMz4ENGp1usfyihBqKxpbmkljYFS\n"
    "3Jonqwn9YI7icMjQREAhe+xUEsdeq4A0ljAGBXfLUoIZ0F/EahZSBAp8ArBD4PHE\n"
    "k2XtTAiFvnnA+O+m/OUFLRO1XkyvAgMBAAECgYEA8xOTo+DJQATv5l9l7cFeG2Rw\n"
    "7E5+eomzWC4MyFbm05MZwkfGttjDK0azH/G3JPkybBp927p7Og05DnjdOeBBRhK6\n"
    "DpuiQjhph1PopQo0WwQOPvSgIHY6ecT1LCrrr/Qc5f9IU8nnebiy0n/m/8GZ2J/5\n"
    "pD8LzOlcawiAT0XKjEECQQD/aKRVbmJ9YI5UYiHw6kwbrgkWSmuKTJJKcj217PFV\n"
    "oI1gc/x5i0vxFpJ9egb1GyepN88Mo00qLgYkf6nodebpAkEA+8WhlCigcJViypki\n"
    "AH+aJd+ItMyxCJptquzjl7PaSoDFZQxJzn6L1S+hB90x6zgN82Vv0OWtH47EotsT\n"
    "dSEH1wJAfNiGs6fghs7C4+aQFrZAe6tHj9jS1mh1feR328y1bxiq4sHvYO5BMdjJ\n"
    "xIH4kqkyatn34IKWfo6+u+qXgCTZuQJBANqjNT3ESg96qt/lO3HTXbml9MGNP++I\n"
    "q9PTA5GpzdcFHGYz1aRMoIHxapW5sK/jbboATKnLyhutj3Udajg9BuECQQD9rgpC\n"
    "RV7AX3F4t1RtX/auLUvBVCRCulegx1pBuNda5gPRlKe/XoNSu5GL9IIHnpnBw+gf\n"
    "WFsrrVsX14+2U8RR\n"
    "-----END PRIVATE KEY-----\n";

#endif
