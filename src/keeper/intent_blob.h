/*
 * The keys that blobs lie under: asked for by coffer-web once, at its start. Inside the keeper
 * only.
 */
#ifndef COFFER_KEEPER_INTENT_BLOB_H
#define COFFER_KEEPER_INTENT_BLOB_H

#include "keeper/intent.h"

err_t *intent_blob_keys(const keeper_core_t *, const intent_call_t *,
                        intent_answer_t *) WARN_UNUSED;

#endif
