/* The first program of the single file: gives the one behind it a directory to unpack itself in, or says in one line what to set.
 *
 * staticx and PyInstaller unpack into $TMPDIR or /tmp, and where that is full, read-only or mounted noexec they end with a message
 * of their makers' ("Failed to execv()"). Here the first directory that serves is found. The program behind this one is copied there,
 * since staticx wants a path of its own, and the tool removes the copy as soon as it runs (single_file.py).
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define NEEDED_MB "80" /* what both loaders write, and the copy */

static int usable(const char *directory) {
    struct statvfs of;
    return directory && *directory == '/' && !access(directory, W_OK | X_OK) && !statvfs(directory, &of) &&
           !(of.f_flag & (ST_NOEXEC | ST_RDONLY)) && (of.f_bavail * of.f_frsize) >> 20 >= (unsigned)atoi(NEEDED_MB);
}

/* Exit status 3: what was asked for could not be done here. */
static int refuse(const char *why) {
    dprintf(STDERR_FILENO, "dockernet-doctor: %s\n", why);
    return 3;
}

/* Copies what stands behind this program in `file` to `copy`; 0, or -1 with errno. An ELF file ends with its section headers. */
static int copied(const char *file, const char *copy) {
    Elf64_Ehdr header;
    struct stat whole;
    int from = open(file, O_RDONLY | O_CLOEXEC);
    int to = open(copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
    if (from < 0 || to < 0 || pread(from, &header, sizeof header, 0) != sizeof header || fstat(from, &whole)) return -1;
    off_t at = header.e_shoff + (off_t)header.e_shnum * header.e_shentsize;
    while (at < whole.st_size)
        if (sendfile(to, from, &at, whole.st_size - at) <= 0) return -1;
    return close(from) || close(to) ? -1 : 0;
}

int main(int argc, char **argv) {
    const char *before = getenv("TMPDIR"), *candidates[] = {before, "/tmp", "/var/tmp", "/dev/shm", "/run"};
    size_t number = sizeof candidates / sizeof *candidates, found = 0;
    char file[PATH_MAX], folder[PATH_MAX], copy[PATH_MAX + 32];
    (void)argc;

    while (found < number && !usable(candidates[found])) found++;
    if (found == number)
        return refuse("it unpacks itself at each start and found nowhere to: set TMPDIR to a directory that can be written, is not "
                      "mounted noexec, and has " NEEDED_MB " MB free");
    ssize_t length = readlink("/proc/self/exe", file, sizeof file - 1);
    if (length < 0) return refuse("it needs /proc to be mounted");
    file[length] = 0;
    snprintf(folder, sizeof folder, "%s/dockernet-doctor-XXXXXX", candidates[found]);
    if (!mkdtemp(folder)) return refuse(strerror(errno));
    snprintf(copy, sizeof copy, "%s/dockernet-doctor", folder);
    if (!copied(file, copy)) {
        setenv("DOCKERNET_DOCTOR_FILE", file, 1);
        setenv("DOCKERNET_DOCTOR_COPY", copy, 1);
        if (before) setenv("DOCKERNET_DOCTOR_TMPDIR", before, 1);
        setenv("TMPDIR", candidates[found], 1);
        execv(copy, argv);
    }
    int why = errno;
    unlink(copy);
    rmdir(folder);
    return refuse(strerror(why));
}
