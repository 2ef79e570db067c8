/*
 * The topic of MDM pushes, which is the UID in the push certificate's subject.
 */
#ifndef COFFER_PROGRAM_PUSH_TOPIC_H
#define COFFER_PROGRAM_PUSH_TOPIC_H

#include "program/common/settings.h"

/* [push] topic, or the certificate's; "" when pushing is off. A new string (mem_free). */
err_t *push_topic(const settings_t *settings, char **ret_topic) WARN_UNUSED;

#endif
