/* SPDX-License-Identifier: MIT
 *
 * io.porterd.Files: open, check and list files.
 */
#include "libporter/connection.h"
#include "libporter/reply.h"

/* Moves the fds that `indexes` names into ret_fds. Each fd must be named, and named once. */
static int take_descriptors(struct fdset *fds, const json_t *const *indexes, size_t count, int *ret_fds)
{
	int taken[FDSET_MAX];

	if (fds->count != count)
		return -EBADMSG;

	for (size_t i = 0; i < count; i++) {
		json_int_t index = json_integer_value(indexes[i]);

		/* A second taking of the same one finds -EBADF in its place. */
		taken[i] = json_is_integer(indexes[i]) && index >= 0 && index < FDSET_MAX
				   ? fdset_take(fds, (size_t)index)
				   : -EBADF;
		if (taken[i] < 0) {
			while (i > 0)
				fd_close(taken[--i]);
			return -EBADMSG;
		}
	}

	memcpy(ret_fds, taken, count * sizeof(int));
	return 0;
}

int porter_open(struct porter *porter, const char *file, int *ret_fd)
{
	_cleanup_(fdset_clear) struct fdset fds = { .count = 0 };
	_cleanup_json_ json_t *reply = NULL;
	const json_t *index;
	json_t *parameters;
	int r;

	if (!connection_begin(porter) || !file || !*file || !ret_fd)
		return -EINVAL;

	parameters = json_pack("{s:s}", "file", file);
	if (!parameters)
		return -EINVAL;
	r = connection_call(porter, "io.porterd.Files.Open", parameters, &reply, &fds);
	if (r < 0)
		return r;

	index = json_object_get(reply, "descriptor");
	r = take_descriptors(&fds, &index, 1, ret_fd);
	return r < 0 ? connection_break(porter) : 0;
}

static json_t *strings_to_json(const char *const *strings, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < count; i++)
		/* Consumes the string, and fails where that is NULL: not UTF-8. */
		if (json_array_append_new(array, json_string(strings[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	return array;
}

int porter_open_many(struct porter *porter, const char *const *files, size_t n_files, int *ret_fds)
{
	_cleanup_(fdset_clear) struct fdset fds = { .count = 0 };
	_cleanup_json_ json_t *reply = NULL;
	const json_t *indexes[FDSET_MAX], *array;
	json_t *names;
	int r;

	if (!connection_begin(porter) || !files || n_files == 0 || !ret_fds)
		return -EINVAL;
	if (n_files > PORTER_FILES_MAX)
		return -E2BIG;
	for (size_t i = 0; i < n_files; i++)
		if (!files[i] || !*files[i])
			return -EINVAL;

	names = strings_to_json(files, n_files);
	if (!names)
		return -EINVAL;
	r = connection_call(porter, "io.porterd.Files.OpenMany", json_pack("{s:o}", "files", names), &reply,
			    &fds);
	if (r < 0)
		return r;

	if (reply_array(reply, "descriptors", false, &array) < 0 || json_array_size(array) != n_files)
		return connection_break(porter);
	for (size_t i = 0; i < n_files; i++)
		indexes[i] = json_array_get(array, i);
	r = take_descriptors(&fds, indexes, n_files, ret_fds);
	return r < 0 ? connection_break(porter) : 0;
}

int porter_check(struct porter *porter, const char *file, bool *ret_permitted, char **ret_reason)
{
	_cleanup_json_ json_t *reply = NULL;
	_cleanup_free_ char *reason = NULL;
	json_t *parameters;
	bool permitted;
	int r;

	if (!connection_begin(porter) || !file || !*file || !ret_permitted)
		return -EINVAL;

	parameters = json_pack("{s:s}", "file", file);
	if (!parameters)
		return -EINVAL;
	r = connection_call_plain(porter, "io.porterd.Files.Check", parameters, &reply);
	if (r < 0)
		return r;

	r = reply_boolean(reply, "permitted", &permitted);
	if (r == 0)
		r = reply_string(reply, "reason", false, &reason);
	if (r < 0)
		return r == -EBADMSG ? connection_break(porter) : r;

	*ret_permitted = permitted;
	if (ret_reason)
		*ret_reason = TAKE_POINTER(reason);
	return 0;
}

static void file_free(struct porter_file *file)
{
	if (!file)
		return;

	free(file->name);
	free(file->description);
	free(file->access);
	free(file);
}

void porter_files_free(struct porter_file **files)
{
	for (size_t i = 0; files && files[i]; i++)
		file_free(files[i]);
	free(files);
}

DEFINE_CLEANUP(struct porter_file *, cleanup_porter_file, file_free)
DEFINE_CLEANUP(struct porter_file **, cleanup_porter_files, porter_files_free)

static int file_parse(const json_t *object, struct porter_file **ret)
{
	_cleanup_(cleanup_porter_file) struct porter_file *file = calloc(1, sizeof(*file));
	int r;

	if (!file)
		return -ENOMEM;

	r = reply_string(object, "name", false, &file->name);
	if (r == 0)
		r = reply_string(object, "description", true, &file->description);
	if (r == 0)
		r = reply_string(object, "access", false, &file->access);
	if (r < 0)
		return r;

	*ret = TAKE_POINTER(file);
	return 0;
}

int porter_list(struct porter *porter, struct porter_file ***ret)
{
	_cleanup_(cleanup_porter_files) struct porter_file **files = NULL;
	_cleanup_json_ json_t *reply = NULL;
	const json_t *array;
	int r;

	if (!connection_begin(porter) || !ret)
		return -EINVAL;

	r = connection_call_plain(porter, "io.porterd.Files.List", json_object(), &reply);
	if (r < 0)
		return r;
	if (reply_array(reply, "files", false, &array) < 0)
		return connection_break(porter);

	files = calloc(json_array_size(array) + 1, sizeof(*files));
	if (!files)
		return -ENOMEM;
	for (size_t i = 0; i < json_array_size(array); i++) {
		r = file_parse(json_array_get(array, i), &files[i]);
		if (r < 0)
			return r == -EBADMSG ? connection_break(porter) : r;
	}

	*ret = TAKE_POINTER(files);
	return 0;
}
