/* The floor: the least that a server does which sends a message to each of N clients: N times
 * send(2). It does a handshake, and answers each frame with the same frame for all. Nothing else:
 * what comes is taken to be right, and what `benchmarks.load` sends is. It prints its port, and ends
 * with its stdin. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 65536, SIZE = 1 << 18 };
static const char ANSWER[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                             "Connection: Upgrade\r\n\r\n";
static unsigned char buffer[SIZE], frame[SIZE]; /* One buffer will do: only one client speaks. */
static int members[MOST], count, epoll;
static char joined[MOST]; /* by descriptor */

static void watch(int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void leave(int fd) {
    for (int i = 0; i < count; i++)
        if (members[i] == fd) members[i] = members[--count];
    joined[fd] = 0;
    close(fd);
}

/* Send all the whole frames among the first `size` bytes to everybody. Return what they take. */
static size_t broadcast(size_t size) {
    size_t at = 0;
    while (size - at >= 4) {
        size_t head = 2, length = buffer[at + 1] & 127;
        if (length == 126) head = 4, length = buffer[at + 2] << 8 | buffer[at + 3];
        if (size - at < head + 4 + length) break;
        memcpy(frame, buffer + at, head);
        frame[1] &= 127; /* a server does not mask, and the load masks with zeros */
        memcpy(frame + head, buffer + at + head + 4, length);
        for (int i = 0; i < count; i++) send(members[i], frame, head + length, MSG_NOSIGNAL);
        at += head + 4 + length;
    }
    return at;
}

int main(void) {
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    size_t held = 0;
    if (bind(listener, (void *)&address, length) || listen(listener, 2048)) return 1;
    getsockname(listener, (void *)&address, &length);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    epoll = epoll_create1(0);
    watch(0);
    watch(listener);
    for (;;) {
        struct epoll_event events[64];
        int ready = epoll_wait(epoll, events, 64, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == 0) return 0;
            if (fd == listener) {
                int client = accept(listener, NULL, NULL);
                setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                watch(client);
                continue;
            }
            ssize_t got = recv(fd, buffer + held, SIZE - held, 0);
            if (got <= 0) {
                leave(fd);
            } else if (!joined[fd]) { /* the load sends its request in one piece */
                send(fd, ANSWER, sizeof ANSWER - 1, MSG_NOSIGNAL);
                joined[fd] = 1;
                members[count++] = fd;
            } else {
                size_t used = broadcast(held += got);
                memmove(buffer, buffer + used, held -= used);
            }
        }
    }
}
