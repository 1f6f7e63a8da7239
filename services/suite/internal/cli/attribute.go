package cli

import (
	"context"
	"strconv"
	"strings"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	"github.com/narrowcast/narrowcast/services/suite/internal/mapping"
	"github.com/narrowcast/narrowcast/services/suite/internal/table"
)

type attributeCommands struct {
	Create attributeCreate `cmd:"" help:"Declare a custom attribute."`
	List   attributeList   `cmd:"" help:"List the declared attributes."`
	Get    attributeGet    `cmd:"" help:"Show a declaration."`
	Update attributeUpdate `cmd:"" help:"Change a description, add allowed values, or mark as sensitive."`
}

type attributeCreate struct {
	ID          string   `arg:"" help:"Id, as rules write it behind custom.: lower-case letters, digits and underscores."`
	Type        string   `required:"" enum:"string,decimal,bool,date,string_list" help:"string, decimal, bool, date or string_list."`
	Scale       int32    `help:"Digits after the point of a decimal, 0 to 9." default:"0"`
	Allowed     []string `help:"Allowed values of a string or string_list; none: any."`
	Sensitive   bool     `help:"The facts need special protection."`
	Description string   `help:"What the attribute means."`
}

func (c *attributeCreate) run(s *session) error {
	typ, _ := mapping.AttributeType(c.Type)
	ctx, cancel := s.call()
	defer cancel()
	a, err := s.client.Attributes.CreateAttribute(ctx, &profilev1.CreateAttributeRequest{AttributeId: c.ID, Attribute: &profilev1.Attribute{
		Type: typ, Scale: c.Scale, AllowedValues: c.Allowed, Sensitive: c.Sensitive, Description: c.Description,
	}})
	if err != nil {
		return err
	}
	return s.showAttribute(a)
}

func (s *session) showAttribute(a *profilev1.Attribute) error {
	if s.json() {
		return s.message(a)
	}
	scale, sensitive := "", ""
	if a.GetType() == profilev1.Attribute_TYPE_DECIMAL {
		scale = strconv.Itoa(int(a.GetScale()))
	}
	if a.GetSensitive() {
		sensitive = "yes"
	}
	return s.facts("name", a.GetName(), "type", mapping.AttributeTypeName(a.GetType()), "scale", scale,
		"allowed", strings.Join(a.GetAllowedValues(), ", "), "sensitive", sensitive, "description", a.GetDescription(),
		"in rules", "custom."+short(a.GetName()), "etag", a.GetEtag(), "token", a.GetConsistencyToken())
}

type attributeList struct{}

// attributes returns all declarations.
func (s *session) attributes() ([]*profilev1.Attribute, error) {
	var all []*profilev1.Attribute
	err := pages(s, func(ctx context.Context, token string) (string, error) {
		page, err := s.client.Attributes.ListAttributes(ctx, &profilev1.ListAttributesRequest{PageSize: 1000, PageToken: token})
		all = append(all, page.GetAttributes()...)
		return page.GetNextPageToken(), err
	})
	return all, err
}

func (c *attributeList) run(s *session) error {
	all, err := s.attributes()
	if err != nil {
		return err
	}
	if s.json() {
		return s.message(&profilev1.ListAttributesResponse{Attributes: all})
	}
	t := table.New("attribute", "type", "allowed", "sensitive", "description")
	for _, a := range all {
		typ := mapping.AttributeTypeName(a.GetType())
		if a.GetScale() > 0 {
			typ += " of " + strconv.Itoa(int(a.GetScale())) + " digits"
		}
		sensitive := ""
		if a.GetSensitive() {
			sensitive = "yes"
		}
		t.Row(short(a.GetName()), typ, strings.Join(a.GetAllowedValues(), ", "), sensitive, a.GetDescription())
	}
	return s.table(t)
}

type attributeGet struct {
	Name string `arg:"" help:"The attribute."`
}

func (c *attributeGet) run(s *session) error {
	ctx, cancel := s.call()
	defer cancel()
	a, err := s.client.Attributes.GetAttribute(ctx, &profilev1.GetAttributeRequest{Name: attributeName(c.Name)})
	if err != nil {
		return err
	}
	return s.showAttribute(a)
}

// attributeName takes a name as rules write it too.
func attributeName(text string) string {
	return resource("attributes", strings.TrimPrefix(text, "custom."))
}

type attributeUpdate struct {
	Name        string   `arg:"" help:"The attribute."`
	Allow       []string `help:"Values to add to the allowed ones."`
	Sensitive   bool     `help:"Mark as sensitive; this cannot be taken back."`
	Description *string  `help:"What the attribute means."`
	Etag        string   `help:"Change it only if it still has this etag."`
}

func (c *attributeUpdate) run(s *session) error {
	mask := masked("description", c.Description != nil, "allowed_values", len(c.Allow) > 0, "sensitive", c.Sensitive)
	if len(mask.GetPaths()) == 0 {
		return usage("nothing to change; give flags")
	}
	ctx, cancel := s.call()
	defer cancel()
	now, err := s.client.Attributes.GetAttribute(ctx, &profilev1.GetAttributeRequest{Name: attributeName(c.Name)})
	if err != nil {
		return err
	}
	etag := c.Etag
	if etag == "" {
		etag = now.GetEtag() // values are added to those that were read: another change in between must not be lost
	}
	a, err := s.client.Attributes.UpdateAttribute(ctx, &profilev1.UpdateAttributeRequest{UpdateMask: mask, Attribute: &profilev1.Attribute{
		Name: now.GetName(), Type: now.GetType(), Scale: now.GetScale(), Etag: etag, Sensitive: c.Sensitive || now.GetSensitive(),
		Description: deref(c.Description), AllowedValues: union(now.GetAllowedValues(), c.Allow),
	}})
	if err != nil {
		return err
	}
	return s.showAttribute(a)
}

func union(a, b []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, list := range [][]string{a, b} {
		for _, x := range list {
			if !seen[x] {
				seen[x] = true
				out = append(out, x)
			}
		}
	}
	return out
}
