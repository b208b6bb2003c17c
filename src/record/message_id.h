/* SPDX-License-Identifier: MIT
 *
 * One ID for each kind of record; units/porterd.catalog explains them to people.
 */
#pragma once

/* An open was granted; refused. */
#define MESSAGE_ID_GRANTED "165e6ca3f5524499b2dd807bd727026e"
#define MESSAGE_ID_REFUSED "e45aac770c6c4f58a2e17a78ef7bf13c"
/* More were refused, too fast for a record of each. */
#define MESSAGE_ID_REFUSED_MORE "e0ee3a65a5774d3195efcc62926e1b1c"
/* Records were dropped while the journal could not be reached. */
#define MESSAGE_ID_DROPPED "8d362697bd7b40c0b13a6e7084b0e508"
/* Files were refused because the journal took no records of them. */
#define MESSAGE_ID_UNRECORDED "4ceaa4e552bc4c3c899442f11d8a896c"
/* The policy was read; has an error. */
#define MESSAGE_ID_POLICY_LOADED "8b882adaf35047ad956fd9821e9926cc"
#define MESSAGE_ID_POLICY_ERROR "6922d18ca41447b39a4b88eee60e1183"
/* porterd.conf has an error. */
#define MESSAGE_ID_CONFIG_ERROR "bf28b74cce414b9f91ae8e6821fd6a6b"
/* A program was started in a way that it can't work. */
#define MESSAGE_ID_WRONG_START "1bb86d540b4848368e10fe5d4f05c42f"
/* A limit was reached and new clients wait. */
#define MESSAGE_ID_PAUSED "c85bcbfc5b0d41f6b79de4d0dd461f19"
/* A client's socket can't be answered: porterd may not write to it. */
#define MESSAGE_ID_UNWRITABLE "b3d6a6e7f2c64f0e9a0d5b9c1c7c4a52"
/* A user has as much as one may have. */
#define MESSAGE_ID_QUOTA "60ce4129d335499591b3b618a182e4bb"
/* The opener could not be reached. */
#define MESSAGE_ID_OPENER_LOST "013b8ab92a9a49b5ae5154e51dd04f43"
/* A worker process ended. */
#define MESSAGE_ID_WORKER_ENDED "a60c42acaf6844899df29f3475cd71de"
