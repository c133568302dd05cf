// What the OSD of a key says of whoever stands beside it: one method of an object class, which answers at once.
//
// No code of authors runs in the OSD, and no lock of it is held for them: a caller asks the primary OSD of a key where the
// storage role beside it is, and sends its call there. The OSD knows it by its environment: WEFTRUN_WORKER=http://HOST:PORT.
// Build: g++ -shared -fPIC -O2 -o libcls_weftrun.so ceph_class.cc (of Debian: rados-objclass-dev, librados-dev), and put
// it into the OSD's folder of classes.

#include <cerrno>
#include <cstdlib>
#include <rados/objclass.h>

CLS_VER(1, 0)
CLS_NAME(weftrun)

static int worker(cls_method_context_t context, ceph::buffer::list *in, ceph::buffer::list *out) {
  uint64_t size;
  time_t changed;
  int missing = cls_cxx_stat(context, &size, &changed);
  if (missing < 0) return missing;
  const char *url = std::getenv("WEFTRUN_WORKER");
  if (!url) return -EHOSTDOWN;
  out->append(url);
  return 0;
}

CLS_INIT(weftrun) {
  cls_handle_t handle;
  cls_method_handle_t method;
  cls_register("weftrun", &handle);
  cls_register_cxx_method(handle, "worker", CLS_METHOD_RD, worker, &method);
}
