/* Commands as control records; what they do: catalog_apply. */
#include "proto/wire.h"
#include "ps/state/catalog.h"
#include "tidemill/v1/control.pb-c.h"

void catalog_pack_state(uint32_t version, enum version_state state, bool discard, struct buffer *out)
{
    Tidemill__V1__VersionState spec = TIDEMILL__V1__VERSION_STATE__INIT;
    Tidemill__V1__Control control = TIDEMILL__V1__CONTROL__INIT;
    spec.has_id = spec.has_state = spec.has_discard = true;
    spec.id = version;
    spec.state = state;
    spec.discard = discard;
    control.state = &spec;
    wire_pack(&control.base, out);
}

void catalog_pack_proceed(struct buffer *out)
{
    Tidemill__V1__Control control = TIDEMILL__V1__CONTROL__INIT;
    control.has_proceed = control.proceed = true;
    wire_pack(&control.base, out);
}
