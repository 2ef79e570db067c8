/*
 * sd_notify(3) by hand: see notify.h.
 */
#include "program/cofferd/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/file.h"

err_t *notify_send(const char *state) {
    const char *name = getenv("NOTIFY_SOCKET");
    if (!name || !name[0]) return NULL;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    if (length >= sizeof address.sun_path)
        return err_new(ERR_LIMIT, "NOTIFY_SOCKET has %zu bytes", length);
    memcpy(address.sun_path, name, length);
    if (name[0] == '@') address.sun_path[0] = '\0'; /* the abstract name space */
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return err_errno(errno, "socket");
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
               (const struct sockaddr *)&address, size) < 0)
        return err_errno(errno, "%s", name);
    return NULL;
}
