/*
 * The people of the simulator, and what they may rely on. Each content a person writes is the only
 * one of its kind and bears a canary. It must be found on all devices, byte by byte, until somebody
 * who saw it writes over it or removes it: then it is let go. One thread.
 */
#ifndef COFFER_TESTS_SIM_PERSON_H
#define COFFER_TESTS_SIM_PERSON_H

#include "sim_disk.h"

/* Stands in every content, and the second in every name: neither may reach the service. */
#define SIM_CANARY      "COFFER-CANARY"
#define SIM_CANARY_NAME "canary-"

enum { SIM_CONTENTS = 2048, SIM_STORY = 4096 };

typedef struct {
    uint32_t size;
    bool let_go;
    bool found; /* for sim_people_check() */
} sim_content_t;

typedef struct {
    sim_rnd_t *rnd;
    sim_content_t contents[SIM_CONTENTS];
    uint32_t contents_n;
    bool big;        /* files of several chunks too */
    bool told;       /* print what people do */
    bool hurried;    /* in the middle of a step: an edit always shows in the time then */
    unsigned stress; /* 0..100: how often they pick the same few names */
    /* Brings the content of a hollow file; false if it can't be had now. NULL: there are none. */
    bool (*fill)(void *ctx, unsigned who, uint64_t inode);
    void *fill_ctx;
} sim_people_t;

void sim_people_init(sim_people_t *people, sim_rnd_t *rnd);
/* Some person does something to the files of a disk. `who` is for the story alone. */
void sim_people_act(sim_people_t *people, unsigned who, sim_disk_t *disk);

/* Somebody writes to one file again and again. */
void sim_people_edit(sim_people_t *people, unsigned who, sim_disk_t *disk, const char *path);
/* Somebody writes over the largest file, as a database does. */
void sim_people_overwrite(sim_people_t *people, unsigned who, sim_disk_t *disk);
/* Somebody writes a new file, for sure; *ret_content: its number. */
err_t *sim_people_write(sim_people_t *people, sim_disk_t *disk, uint32_t *ret_content) WARN_UNUSED;
/* Whether a content is there, byte by byte. */
bool sim_people_find(sim_people_t *people, sim_disk_t *disk, uint32_t content);

/*
 * After all is quiet: each file of the disk is one that somebody wrote, byte by byte, and none that
 * was not let go is missing. ERR_VERIFY with what is wrong. Paths for which `ours` is true (the
 * engine's own) are passed over.
 */
err_t *sim_people_check(sim_people_t *people, sim_disk_t *disk,
                        bool (*ours)(const char *path)) WARN_UNUSED;
/* The first alone, at any time: no file is torn, or nobody's. */
err_t *sim_people_check_exact(sim_people_t *people, sim_disk_t *disk,
                              bool (*ours)(const char *path)) WARN_UNUSED;
/* The contents of this disk, but for the paths that are `not`, need be nowhere else: its device was
 * shut out, may only read, or has them outside of what it syncs. */
err_t *sim_people_excuse(sim_people_t *people, sim_disk_t *disk,
                         bool (*not )(const char *path)) WARN_UNUSED;
/* Both disks have the same names, kinds, contents and permissions; ERR_VERIFY. Of hollow files
 * there is no content to compare. */
err_t *sim_people_compare(sim_disk_t *a, sim_disk_t *b, bool (*ours)(const char *path)) WARN_UNUSED;

#endif
