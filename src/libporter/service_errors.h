/* SPDX-License-Identifier: MIT
 *
 * Every error of the service's interfaces: its name, the errno value that a call of the library returns for it, and
 * what porterctl says. Each of the two takes what it needs.
 */
#pragma once

#include <errno.h>

/* ERROR(name, errno value, words) for each. */
#define SERVICE_ERRORS(ERROR) \
	ERROR("io.porterd.Files.UnknownFile", ENOENT, \
	      "the policy has no file of that name. Try: porterctl list") \
	ERROR("io.porterd.Files.FileMissing", ENOENT, \
	      "the file is missing where the policy says it is") \
	ERROR("io.porterd.Files.NotPermitted", EACCES, \
	      "not permitted") \
	ERROR("io.porterd.Files.UnsafeMode", EPERM, \
	      "the file's mode would give more access than the policy. Change the mode, or set Deliver=copy") \
	ERROR("io.porterd.Files.WrongType", EMEDIUMTYPE, \
	      "something else is in the file's place") \
	ERROR("io.porterd.Files.TooManyFiles", E2BIG, \
	      "too many files at once") \
	ERROR("io.porterd.Files.OpenerUnavailable", EHOSTDOWN, \
	      "the process that opens files can't be reached. Try: systemctl status porterd-opener.socket") \
	ERROR("io.porterd.Files.Busy", EBUSY, \
	      "the service is too busy. Try again") \
	ERROR("org.varlink.service.InterfaceNotFound", EOPNOTSUPP, \
	      "the service does not know this interface") \
	ERROR("org.varlink.service.MethodNotFound", EOPNOTSUPP, \
	      "the service does not know this method") \
	ERROR("org.varlink.service.MethodNotImplemented", EOPNOTSUPP, \
	      "the service does not do this") \
	ERROR("org.varlink.service.InvalidParameter", EINVAL, \
	      "the service does not accept this name") \
	ERROR("org.varlink.service.PermissionDenied", EACCES, \
	      "the service does not permit it") \
	ERROR("org.varlink.service.ExpectedMore", EREMOTEIO, \
	      "the service would answer this more than once") \
	ERROR("org.varlink.service.ExpectedUpgrade", EREMOTEIO, \
	      "the service would turn the connection into another one")
