/* SPDX-License-Identifier: GPL-2.0 */
/* control-region: what control-region.c and control-add.c have of each other. */
#ifndef REGIONFS_CONTROL_REGION_H
#define REGIONFS_CONTROL_REGION_H

#include "control.h"

/* Ends the call with REGION, once the state directory has what was changed. A managed region is opened on the way. */
void control_answer_region(struct control_call *call, uint64_t id);
void control_run_add(struct control_call *call);

#endif
